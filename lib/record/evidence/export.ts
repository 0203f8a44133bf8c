/** A stretch of the record as files: JSON Lines and CSV for people, and a proof of each event for those who doubt them. */
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { canonicalJson, readJson } from '../../base/canonical/index.ts'
import type { Database } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { Quorum } from './cosignatures.ts'
import { contentSchema, contentSql, instant, type Content } from './entry.ts'
import type { VerifierKey } from './note.ts'
import { newestBasis, OFFLINE, proofOf, verifyProof } from './prove.ts'

const PAGE = 1_000
const LINES = 'events.jsonl'
const TABLE = 'events.csv'
const PROOFS = 'proofs'
const columns = ['id', 'at', 'type', 'actor', 'run', 'sequenced', 'data'] as const

export interface Exported {
  /** Events written, each with its proof. */
  events: number
  /** Events in the stretch whose content has aged out. */
  aged: number
  /** Events in the stretch that no signed head covers yet: they are not in it. */
  pending: number
  /** Leaves of the head that the proofs stand on. */
  size: number
}

/**
 * Events written in [from, to), of those that the newest head covers, into a folder that is new or empty. Throws E_USAGE
 * for a folder with something in it, E_EVIDENCE_PENDING while there is no head, E_EVIDENCE_BROKEN where an event can't be proved.
 */
export async function exportEvents(
  control: Database,
  stretch: { from: Date; to: Date },
  folder: string,
): Promise<Exported> {
  const basis = await newestBasis(control)
  if (basis === null)
    throw new LetheError('E_EVIDENCE_PENDING', { message: 'No head of the evidence log is signed yet.' })
  await mkdir(join(folder, PROOFS), { recursive: true }).catch(() => {
    throw new LetheError('E_USAGE', {
      message: `The folder ${folder} can't be made.`,
      next: 'Name one that is not there yet, in a place that you may write to.',
    })
  })
  if ((await readdir(folder)).length > 1 || (await readdir(join(folder, PROOFS))).length > 0)
    throw new LetheError('E_USAGE', {
      message: `The folder ${folder} is not empty.`,
      next: 'Name a new one, so that no event of another export is taken for one of this.',
    })
  const lines = await open(join(folder, LINES), 'w')
  const csv = await open(join(folder, TABLE), 'w')
  const { size } = basis.head
  const done: Exported = { events: 0, aged: 0, pending: await uncovered(control, stretch, size), size }
  try {
    await csv.write(csvLine(columns))
    for (let next = 0; ;) {
      const rows = await control.query(
        z.object({
          index: z.coerce.number(),
          event: z.string(),
          entry: z.instanceof(Buffer),
          salt: z.instanceof(Buffer).nullable(),
          content: z.string().nullable(),
        }),
        `SELECT x.index, x.event_id AS event, x.entry, x.salt, ${contentSql('e', instant('x.sequenced_at'))} AS content
         FROM lethe_control.evidence_entries x LEFT JOIN lethe_control.events e ON e.id = x.event_id
         WHERE x.index >= $1 AND x.index < $2 AND coalesce(e.at, x.sequenced_at) >= $3
           AND coalesce(e.at, x.sequenced_at) < $4 ORDER BY x.index LIMIT ${PAGE}`,
        [next, size, stretch.from, stretch.to],
      )
      if (rows.length === 0) break
      for (const row of rows) {
        next = row.index + 1
        const { salt, content: text } = row
        if (text === null || salt === null) {
          done.aged += 1
          continue
        }
        // First: what can't be proved is not exported.
        const proof = await proofOf(basis, { ...row, salt, content: text })
        const content = contentSchema.parse(JSON.parse(text))
        await lines.write(`${text}\n`)
        await csv.write(csvLine(columns.map((name) => cell(content, name))))
        await writeFile(join(folder, PROOFS, `event-${row.event}.tlog-proof`), proof)
        done.events += 1
      }
    }
  } finally {
    await lines.close()
    await csv.close()
  }
  return done
}

async function uncovered(
  control: Database,
  { from, to }: { from: Date; to: Date },
  size: number,
): Promise<number> {
  const [row] = await control.query(
    z.object({ count: z.coerce.number() }),
    `SELECT count(*) AS count FROM lethe_control.events e
     LEFT JOIN lethe_control.evidence_entries x ON x.event_id = e.id
     WHERE e.at >= $1 AND e.at < $2 AND coalesce(x.index >= $3, true)`,
    [from, to, size],
  )
  return row?.count ?? 0
}

export interface ExportVerified {
  events: number
  /** Lowest and highest index of an entry in it; null where it is empty. */
  first: number | null
  last: number | null
  /** Entries between them that are not in it. */
  absent: number
}

/** Checks each event of an export against its proof, and the table against the events. Throws what `verifyProof` throws, E_EVIDENCE_BROKEN for a line without one. */
export async function verifyExport(
  folder: string,
  origin: string,
  keys: readonly VerifierKey[],
  quorum?: Quorum,
): Promise<ExportVerified> {
  const text = await readFile(join(folder, LINES), 'utf8')
  let events = 0
  const indexes = new Set<number>()
  let table = csvLine(columns)
  for (const line of text.split('\n').slice(0, -1)) {
    const content = contentSchema.safeParse(readJson(line))
    if (!content.success)
      throw new LetheError('E_EVIDENCE_FORMAT', {
        message: `Line ${events + 1} of ${LINES} is no event of Lethe.`,
      })
    const proof = await readFile(join(folder, PROOFS, `event-${content.data.id}.tlog-proof`), 'utf8').catch(
      () => null,
    )
    const proven = proof === null ? null : verifyProof(proof, origin, keys, quorum)
    if (proven === null || canonicalJson(proven.content) !== canonicalJson(content.data))
      throw notProved(
        proof === null
          ? `The export holds no proof of event ${content.data.id}.`
          : `Event ${content.data.id} of the export is not what its proof proves.`,
        { event: content.data.id },
      )
    events += 1
    table += csvLine(columns.map((name) => cell(content.data, name)))
    indexes.add(proven.index)
  }
  const csv = await readFile(join(folder, TABLE), 'utf8').catch(() => null)
  if (csv !== table)
    throw notProved(
      csv === null
        ? `The export holds no ${TABLE}.`
        : `${TABLE} of the export is not the table of its events; ${LINES} is.`,
      {},
    )
  const sorted = [...indexes].toSorted((a, b) => a - b)
  const [first = null, last = null] = [sorted.at(0), sorted.at(-1)]
  return {
    events,
    first,
    last,
    absent: first === null || last === null ? 0 : last - first + 1 - indexes.size,
  }
}

function csvLine(cells: readonly string[]): string {
  return `${cells.join(',')}\r\n`
}

function notProved(message: string, facts: Record<string, unknown>): LetheError {
  return new LetheError('E_EVIDENCE_BROKEN', { message, next: OFFLINE, facts })
}

/** RFC 4180; a leading sign that a spreadsheet would take for a formula is defused. */
function cell(content: Content, name: (typeof columns)[number]): string {
  const value = name === 'data' ? canonicalJson(content.data) : (content[name] ?? '')
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
