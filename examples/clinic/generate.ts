/**
 * Fills an empty database with a clinic of any size. The same options give the same rows, whatever the machine, the time
 * it takes or the number of connections; all dates are relative to `now`.
 *
 *   node examples/clinic/generate.ts --patients 20000 --url postgres://localhost/clinic
 */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { monotonicMs } from '../../lib/base/clock/index.ts'
import { Loader } from './loader.ts'
import { castPerson, smallestClinic, type Person } from './people.ts'
import { Random } from './random.ts'
import { addPatient } from './rows.ts'
import { newSheets, type Sheet, type Sheets } from './sheets.ts'
import { addStaff, staffFor } from './staff.ts'
import { date } from './times.ts'

export interface ClinicOptions {
  /** At least 23, so that everybody of the fixed cast has a place. */
  patients: number
  seed?: number
  /** The instant that all dates are relative to; default: the database's now(). Whole seconds count. */
  now?: Date
  /** Letters, digits, - and _: stands in every personal text of every row, so that a test can search for it. */
  canary?: string
  /** Connections that load at the same time; default 2. They don't change the rows. */
  workers?: number
  /** Observations of each of the two heaviest patients; default 25,000, in a clinic of under 1,000 patients 500. */
  heavyObservations?: number
  /** Told after every few thousand patients. */
  onProgress?: (patientsDone: number) => void
}

/** Patients by what a retention policy should find at `now`; rows merged into another count with the other one. */
export interface DueCounts {
  softDeleted: number
  /** Soft-deleted more than 30 days ago; the next three are among them. */
  softDeletedDue: number
  /** … and under an open legal hold. */
  softDeletedDueHeld: number
  /** … and with an invoice younger than seven years: the patient's row has to stay, pseudonymised. */
  softDeletedDueKept: number
  /** … and with a controlled drug prescribed in the last two years: the patient waits whole. */
  softDeletedDueWaiting: number
  /** Not deleted; last contact, death and 18th birthday all more than seven years ago. */
  inactiveDue: number
  inactiveDueHeld: number
  /** Due within 30 days. */
  inactiveSoon: number
}

export interface Clinic {
  now: Date
  /** By table. */
  rows: Record<string, number>
  total: number
  due: DueCounts
  milliseconds: { load: number; build: number; vacuum: number }
}

/** Creates the schema and fills it. The database must not hold the clinic's tables yet; nothing is dropped. */
export async function createClinic(url: string, options: ClinicOptions): Promise<Clinic> {
  const { canary = '', seed = 1 } = options
  if (!Number.isInteger(options.patients) || options.patients < smallestClinic)
    throw new RangeError(`patients must be a whole number of at least ${smallestClinic}`)
  if (!/^[A-Za-z0-9_-]{0,40}$/.test(canary))
    throw new RangeError('canary may hold letters, digits, - and _, 40 at most')
  const loader = await Loader.open(url, options.workers ?? 2)
  try {
    const started = monotonicMs()
    const now = options.now === undefined ? await databaseNow(loader) : toSeconds(options.now)
    await loader.run(await readSql('schema.sql'))
    await loader.run(vitalsPartitions(now))
    const sheets = await loadRows(loader, { ...options, canary, seed, now })
    const loaded = monotonicMs()
    await loader.run(await readSql('schema-constraints.sql'))
    await loader.run(sequences(sheets))
    const built = monotonicMs()
    await loader.run('VACUUM (ANALYZE)')
    const due = await countDue(loader, now)
    const rows = Object.fromEntries(Object.entries(sheets).map(([table, sheet]) => [table, sheet.rows]))
    return {
      now: new Date(now * 1000),
      rows,
      total: Object.values(rows).reduce((sum, count) => sum + count, 0),
      due,
      milliseconds: { load: loaded - started, build: built - loaded, vacuum: monotonicMs() - built },
    }
  } finally {
    await loader.close()
  }
}

/** The schema alone, without a row. */
export async function createClinicSchema(url: string): Promise<void> {
  const loader = await Loader.open(url, 1)
  try {
    const now = await databaseNow(loader)
    await loader.run(await readSql('schema.sql'))
    await loader.run(vitalsPartitions(now))
    await loader.run(await readSql('schema-constraints.sql'))
  } finally {
    await loader.close()
  }
}

type LoadOptions = Omit<ClinicOptions, 'now'> & { canary: string; seed: number; now: number }

const CHUNK = 1 << 20
const PATIENTS_BETWEEN_CHECKS = 250

async function loadRows(loader: Loader, options: LoadOptions): Promise<Sheets> {
  const { patients, canary, seed, now } = options
  const sheets = newSheets()
  const all = Object.values(sheets)
  const random = new Random(seed)
  const staff = staffFor(patients)
  const heavyObservations = options.heavyObservations ?? (patients < 1000 ? 500 : 25_000)
  const castOptions = {
    now,
    canary,
    organisations: staff.organisations,
    heavyIndex: Math.floor(patients * 0.7),
  }
  const rowOptions = { sheets, staff, now, canary, heavyObservations }
  addStaff(sheets, staff, random, now, canary)
  let previous: Person | null = null
  for (let index = 0; index < patients; index++) {
    const person = castPerson(random, index, previous, castOptions)
    addPatient(random, person, rowOptions)
    // a person remembers nobody further back, else the whole clinic would stay in memory as one chain
    previous = { ...person, housemate: null, mergedInto: person.mergedInto === null ? null : person }
    if (index % PATIENTS_BETWEEN_CHECKS === 0) await flush(loader, all, CHUNK)
    if (index % 5000 === 4999) options.onProgress?.(index + 1)
  }
  await flush(loader, all, 1)
  await loader.settle()
  return sheets
}

async function flush(loader: Loader, sheets: readonly Sheet[], threshold: number): Promise<void> {
  for (const sheet of sheets)
    if (sheet.size >= threshold) await loader.copy(sheet.copyStatement, sheet.take())
}

async function databaseNow(loader: Loader): Promise<number> {
  const rows = await loader.run('SELECT extract(epoch FROM date_trunc($1, now()))::text AS now', ['second'])
  const [row] = z.array(z.object({ now: z.coerce.number() })).parse(rows)
  if (row === undefined) throw new Error('the database gave no time')
  return row.now
}

function toSeconds(at: Date): number {
  return Math.floor(at.getTime() / 1000)
}

async function readSql(file: string): Promise<string> {
  return readFile(new URL(file, import.meta.url), 'utf8')
}

/** One partition a month for the last two years and the next month; what is older is in the default partition. */
function vitalsPartitions(now: number): string {
  const today = new Date(now * 1000)
  const month = (offset: number) =>
    date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + offset, 1) / 1000)
  const statements: string[] = []
  for (let offset = -24; offset <= 1; offset++) {
    const name = `vitals_${month(offset).slice(0, 7).replace('-', '_')}`
    statements.push(
      `CREATE TABLE public.${name} PARTITION OF public.vitals ` +
        `FOR VALUES FROM ('${month(offset)} 00:00:00+00') TO ('${month(offset + 1)} 00:00:00+00');`,
    )
  }
  return statements.join('\n')
}

function sequences(sheets: Sheets): string {
  const statements: string[] = []
  for (const [table, sheet] of Object.entries(sheets)) {
    if (sheet.idColumn !== null && sheet.lastId > 0)
      statements.push(
        `SELECT setval(pg_get_serial_sequence('${table}', '${sheet.idColumn}'), ${sheet.lastId});`,
      )
  }
  return statements.join('\n')
}

const dueSchema = z.object({
  softDeleted: z.coerce.number(),
  softDeletedDue: z.coerce.number(),
  softDeletedDueHeld: z.coerce.number(),
  softDeletedDueKept: z.coerce.number(),
  softDeletedDueWaiting: z.coerce.number(),
  inactiveDue: z.coerce.number(),
  inactiveDueHeld: z.coerce.number(),
  inactiveSoon: z.coerce.number(),
})

async function countDue(loader: Loader, now: number): Promise<DueCounts> {
  const rows = await loader.run(
    `WITH clock AS (SELECT to_timestamp($1::double precision) AS now),
     head AS MATERIALIZED (
       SELECT p.id, p.deleted_at IS NOT NULL AS gone,
         p.deleted_at < now - interval '30 days' AS gone_due,
         p.deleted_at IS NULL AND last < now - interval '7 years' AS idle_due,
         p.deleted_at IS NULL AND last >= now - interval '7 years'
           AND last < now - interval '7 years' + interval '30 days' AS idle_soon
       FROM clock, public.patients p,
         LATERAL (SELECT greatest(p.last_contact_at, p.died_on, p.date_of_birth + interval '18 years') AS last) l
       WHERE p.merged_into_id IS NULL
     ),
     flagged AS (
       SELECT h.*,
         EXISTS (SELECT FROM public.patients s JOIN public.legal_holds l ON l.patient_id = s.id
           WHERE (s.id = h.id OR s.merged_into_id = h.id) AND l.released_at IS NULL) AS held,
         gone_due AND EXISTS (SELECT FROM public.patients s JOIN billing.invoices i ON i.patient_id = s.id
           WHERE (s.id = h.id OR s.merged_into_id = h.id) AND i.issued_on + interval '7 years' > now) AS kept,
         gone_due AND EXISTS (SELECT FROM public.patients s JOIN public.prescriptions r ON r.patient_id = s.id
           WHERE (s.id = h.id OR s.merged_into_id = h.id) AND r.controlled
             AND r.issued_at + interval '2 years' > now) AS waiting
       FROM head h, clock WHERE gone OR idle_due OR idle_soon
     )
     SELECT count(*) FILTER (WHERE gone) AS "softDeleted",
       count(*) FILTER (WHERE gone_due) AS "softDeletedDue",
       count(*) FILTER (WHERE gone_due AND held) AS "softDeletedDueHeld",
       count(*) FILTER (WHERE gone_due AND kept) AS "softDeletedDueKept",
       count(*) FILTER (WHERE gone_due AND waiting) AS "softDeletedDueWaiting",
       count(*) FILTER (WHERE idle_due) AS "inactiveDue",
       count(*) FILTER (WHERE idle_due AND held) AS "inactiveDueHeld",
       count(*) FILTER (WHERE idle_soon) AS "inactiveSoon"
     FROM flagged`,
    [now],
  )
  const [row] = z.array(dueSchema).parse(rows)
  if (row === undefined) throw new Error('the database counted nothing')
  return row
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      patients: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
      now: { type: 'string' },
      canary: { type: 'string' },
      workers: { type: 'string', default: '2' },
    },
  })
  if (values.url === undefined) throw new RangeError('say where: --url postgres://…')
  const clinic = await createClinic(values.url, {
    patients: Number(values.patients),
    seed: Number(values.seed),
    workers: Number(values.workers),
    ...(values.now === undefined ? {} : { now: new Date(values.now) }),
    ...(values.canary === undefined ? {} : { canary: values.canary }),
    onProgress: (done) => process.stderr.isTTY && process.stderr.write(`\r${done} patients`),
  })
  process.stdout.write(`${JSON.stringify(clinic, null, 2)}\n`)
}

if (import.meta.main) await main()
