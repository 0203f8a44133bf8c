import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { createClinic, createClinicSchema, type Clinic } from '../../../examples/clinic/generate.ts'
import { newId } from '../../../lib/base/clock/index.ts'
import { loadConfig } from '../../../lib/config/index.ts'
import { checkMap, planDeletion } from '../../../lib/data/deletion/index.ts'
import { loadCatalogue } from '../../../lib/data/datamap/index.ts'
import { migrate, openDatabase } from '../../../lib/base/db/index.ts'
import { collectIdentifiers, findByIdentifier, raiseFence } from '../../../lib/data/rows/index.ts'
import { postgresEraser } from '../../../lib/data/erasers/index.ts'
import { makeFolder } from '../../support/servers/process.ts'
import { startPostgres } from '../../support/servers/servers.ts'

const now = new Date('2026-03-15T12:00:00Z')
const patients = 400
const path = fileURLToPath(new URL('../../../examples/clinic/lethe.yaml', import.meta.url))

let server: Awaited<ReturnType<typeof startPostgres>>
let clinic: Clinic
let url: string

beforeAll(async () => {
  server = await startPostgres()
  url = (await server.createDatabase('clinic_one')).url
  clinic = await createClinic(url, { patients, seed: 7, now, canary: 'SPARROW' })
})
afterAll(async () => {
  await server.stop()
})

describe('the clinic', () => {
  test('has at least 24 tables, and each has rows', async () => {
    const tables = await tableNames(url)
    expect(tables.length).toBeGreaterThanOrEqual(24)
    expect(tables.toSorted()).toEqual(Object.keys(clinic.rows).toSorted())
    for (const table of tables) {
      const [row] = await query(url, `SELECT count(*) AS value FROM ${table}`)
      expect(row, table).toBe(String(clinic.rows[table]))
      expect(row, table).not.toBe('0')
    }
  })

  test('has only valid foreign keys, and each but one has an index', async () => {
    expect(await query(url, `SELECT conname AS value FROM pg_constraint WHERE NOT convalidated`)).toEqual([])
    const unindexed = await query(
      url,
      `SELECT conrelid::regclass || '.' || (SELECT string_agg(attname, ',') FROM pg_attribute
          WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS value
       FROM pg_constraint c WHERE contype = 'f' AND conparentid = 0 AND NOT EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = c.conrelid
           AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)`,
    )
    expect(unindexed).toEqual(['device_readings.patient_id'])
  })

  test('gives the same rows for the same options, whatever the number of connections', async () => {
    const other = (await server.createDatabase('clinic_two')).url
    const again = await createClinic(other, { patients, seed: 7, now, canary: 'SPARROW', workers: 1 })
    expect(again.rows).toEqual(clinic.rows)
    expect(again.due).toEqual(clinic.due)
    expect(await contentHash(other)).toBe(await contentHash(url))
  })

  test('gives other rows for another seed', async () => {
    const other = (await server.createDatabase('clinic_three')).url
    await createClinic(other, { patients, seed: 8, now, canary: 'SPARROW' })
    expect(await contentHash(other)).not.toBe(await contentHash(url))
  })

  test('has a patient of each kind that a retention policy meets', () => {
    for (const [kind, count] of Object.entries(clinic.due)) expect(count, kind).toBeGreaterThan(0)
    expect(clinic.due.softDeleted).toBeGreaterThan(clinic.due.softDeletedDue)
  })

  test('puts the canary into every personal text of every row', async () => {
    const marked = {
      'public.patients': ['nhs_number', 'given_name', 'family_name', 'email', 'phone', 'stripe_customer'],
      'public.clinicians': ['full_name', 'email', 'registration_number'],
      'public.addresses': ['line1', 'city', 'postcode'],
      'public.sessions': ['token', 'user_agent'],
      'public.preferences': ['display_name'],
      'public.emergency_contacts': ['full_name', 'phone'],
      'public.appointments': ['reason'],
      'public.referrals': ['letter'],
      'public.episodes': ['title'],
      'public.messages': ['body'],
      'public.prescriptions': ['instructions'],
      'public.prescription_items': ['directions'],
      'public.observations': ['note'],
      'public.device_readings': ['device_serial'],
      'public.lab_results': ['nhs_number', 'result'],
      'public.allergies': ['substance'],
      'public.care_plans': ['summary'],
      'public.folders': ['name'],
      'public.documents': ['title', 'file_key'],
      'public.attachments': ['file_key'],
      'public."ClinicNotes"': ['"noteText"'],
      'public.consents': ['signed_name'],
      'public.legal_holds': ['reason'],
      'public.audit_log': ['detail'],
      'billing.invoices': ['bill_to_name', 'bill_to_email'],
      'billing.invoice_lines': ['description'],
    }
    for (const [table, columns] of Object.entries(marked)) {
      const without = columns.map((column) => `${column} NOT LIKE '%SPARROW%'`).join(' OR ')
      expect(await query(url, `SELECT count(*) AS value FROM ${table} WHERE ${without}`), table).toEqual([
        '0',
      ])
    }
  })

  test('has a map that says something about every table and column, and leaves no finding open', async () => {
    const config = loadConfig(path, { CLINIC_DATABASE_URL: url })
    const database = openDatabase(url, { name: 'clinic', applicationName: 'clinic-test' })
    try {
      const catalogue = await loadCatalogue(database, ['public', 'billing'])
      const open = checkMap(config.file, 'clinic', catalogue, [{ table: 'public.sessions' }])
        .filter((finding) => finding.accepted === null)
        .map((finding) => finding.id)
      expect(open).toEqual([])
      for (const subject of ['patient', 'clinician'])
        expect(planDeletion(config.file, 'clinic', { subject }, catalogue).steps.length).toBeGreaterThan(0)
    } finally {
      await database.close()
    }
  })

  test('leads from a patient to their files, sessions and processors, and back from an address to the patient', async () => {
    const { subjects } = loadConfig(path, {}).file
    const identifiers = Object.entries(subjects['patient']?.identifiers ?? {})
    const database = openDatabase(url, { name: 'clinic', applicationName: 'clinic-test' })
    try {
      const catalogue = await loadCatalogue(database, ['public', 'billing'])
      const plan = planDeletion(loadConfig(path, {}).file, 'clinic', { subject: 'patient' }, catalogue)
      const [found] = await collectIdentifiers(database, plan, [['1']], {
        identifiers: Object.fromEntries(identifiers.map(([name, { sql }]) => [name, sql])),
        contact: null,
      })
      expect(found?.identifiers).toMatchObject({
        id: ['1'],
        email: ['SPARROW.patient.1@example.invalid'],
        nhs_number: ['SPARROW9990000001'],
        stripe_customer: ['cus_SPARROW00000001'],
      })
      const files = [...(found?.identifiers['document'] ?? []), ...(found?.identifiers['attachment'] ?? [])]
      expect(files.length).toBeGreaterThanOrEqual(4)
      expect(found?.identifiers['session']).toHaveLength(2)
      for (const [, { sql, unique }] of identifiers.filter(([, entry]) => entry.unique)) {
        expect(unique).toBe(true)
        const [value = ''] = await query(
          url,
          `SELECT (${sql})::text AS value FROM public.patients root WHERE id = 1`,
        )
        expect(await findByIdentifier(database, plan, sql, value)).toEqual([['1']])
      }
    } finally {
      await database.close()
    }
  })

  test('has a map that stays sound once its other stores are connected', () => {
    const map = parse(readFileSync(path, 'utf8')) as {
      stores: Record<string, unknown>
      subjects: { patient: Record<string, unknown> }
    }
    const others = Object.keys(map.stores).filter((store) => store !== 'clinic')
    Object.assign(map.subjects.patient, { other_stores: others })
    Object.assign(Object(map.subjects.patient['access']), { stores: ['cache'] })
    const connected = join(makeFolder('clinic'), 'lethe.yaml')
    writeFileSync(connected, stringify(map))
    expect(loadConfig(connected, {}).file.subjects['patient']?.other_stores).toEqual(others)
    expect(readFileSync(path, 'utf8')).toContain(`# other_stores: [${others.join(', ')}]`)
  })

  test('loses one patient whole, and each row of theirs counts once, although some let go first and are deleted then', async () => {
    const other = (await server.createDatabase('clinic_erased')).url
    await createClinic(other, { patients: 23, seed: 7, now })
    await migrate(other, 'target')
    const config = loadConfig(path, { CLINIC_DATABASE_URL: other })
    const database = openDatabase(other, { name: 'clinic', applicationName: 'clinic-test' })
    const page = { runId: newId(), fence: 1n, limit: 20_000 }
    const subjects = [{ kind: 'patient', key: ['1'], identifiers: {} }]
    const { signal } = new AbortController()
    try {
      const catalogue = await loadCatalogue(database, ['public', 'billing'])
      const plan = planDeletion(config.file, 'clinic', { subject: 'patient' }, catalogue)
      const eraser = postgresEraser(database, {
        pseudonymKey: 'of-the-tests',
        beforeDestruction: () => Promise.resolve(),
      })
      await raiseFence(database, page.runId, page.fence)
      const { counts } = await eraser.locate(subjects, plan, signal)
      const { removed, more } = await eraser.erase(subjects, plan, page, signal)
      expect(more).toBe(false)
      expect(removed['public.episodes']).toBe(1)
      for (const [table, count] of Object.entries(removed))
        expect(count, table).toBeLessThanOrEqual(counts[table] ?? 0)
      expect(await eraser.verify(subjects, plan, signal)).toMatchObject([{ absent: true }])
    } finally {
      await database.close()
    }
  })

  test('goes on with ids of its own after the load', async () => {
    const insert = `INSERT INTO public.organisations (name) VALUES ('One more') RETURNING id AS value`
    const [id] = await query(url, `WITH made AS (${insert}) SELECT value FROM made`, 'rollback')
    expect(Number(id)).toBe((clinic.rows['public.organisations'] ?? 0) + 1)
  })

  test('refuses to change its events', async () => {
    await expect(query(url, 'DELETE FROM public.events')).rejects.toThrow('append-only')
  })

  test('can be made empty', async () => {
    const other = (await server.createDatabase('clinic_empty')).url
    await createClinicSchema(other)
    expect(await tableNames(other)).toEqual(await tableNames(url))
    expect(await query(other, 'SELECT count(*) AS value FROM public.patients')).toEqual(['0'])
  })

  test('refuses a clinic too small for its cast and a canary that COPY would misread', async () => {
    await expect(createClinic(url, { patients: 3 })).rejects.toThrow('at least 23')
    await expect(createClinic(url, { patients, canary: 'a\tb' })).rejects.toThrow('canary')
  })
})

async function tableNames(address: string): Promise<string[]> {
  return query(
    address,
    `SELECT format('%I.%I', nspname, relname) AS value FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname IN ('public', 'billing') AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1`,
  )
}

async function contentHash(address: string): Promise<string> {
  const hashes: string[] = []
  for (const table of await tableNames(address)) {
    const sql = `SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) AS value FROM ${table} t`
    hashes.push(`${table} ${(await query(address, sql))[0] ?? ''}`)
  }
  return hashes.join('\n')
}

/** The column `value` of each row. */
async function query(address: string, sql: string, end: 'commit' | 'rollback' = 'commit'): Promise<string[]> {
  const client = new pg.Client({ connectionString: address })
  await client.connect()
  try {
    await client.query('BEGIN')
    const { rows } = await client.query<{ value: string }>(sql)
    await client.query(end)
    return rows.map((row) => row.value)
  } finally {
    await client.end()
  }
}
