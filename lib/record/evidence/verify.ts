/**
 * Verifies the living log: every entry is hashed again, every signed head compared with the tree they make, every content
 * with its commitment. Names each break and where it is; stops at none.
 */
import { z } from 'zod'
import type { Database, Queryable, Transaction } from '../../base/db/index.ts'
import type { TrustedCheckpoint } from './checkpoint.ts'
import { commitment, contentSql, instant } from './entry.ts'
import { Frontier } from './frontier.ts'
import { headBefore, readHead, storedHeads, type Trust } from './heads.ts'
import { leafHash, rootOf } from './merkle.ts'
import { missingLog, storedNodes } from './store.ts'

const PAGE = 2_000

/**
 * `edited`: an event differs from what was hashed. `missing`: an entry, an event or the end of the log is gone.
 * `rewritten`: the entries are not those a head was signed for. `signature`: a head that no trusted key has signed, or
 * another log's. `clock`: a time before the one it follows. `tiles`: the stored tree is not the entries' tree.
 * `unsigned`: entries that no head covers, a day after they got their index, or no head at all. `forged`: an event that was
 * put into the record past the log.
 */
export type BreakKind =
  'edited' | 'missing' | 'rewritten' | 'signature' | 'clock' | 'tiles' | 'unsigned' | 'forged'

export interface Break {
  kind: BreakKind
  /** An entry's index, the size a head was signed for, or (`forged`, a statement that is missing) an event's number. */
  at: number
  message: string
}

export interface Verification {
  /** Entries before this one were taken from an earlier verification, with the signed head it ended at. */
  from: number
  /** Entries hashed again. */
  entries: number
  /** Of those, entries whose content has aged out: only their hash was checked. */
  aged: number
  /** Heads compared. */
  heads: number
  /** The first hundred. */
  breaks: Break[]
}

export interface VerifyOptions {
  /** Signed heads from elsewhere: the bucket's newest, one that an auditor has kept. */
  others?: readonly string[]
  /** Leaves that an earlier verification has reached without a break. Default 0: from the start. */
  from?: number
  /** How long contents are kept at least (a PostgreSQL interval): one that is gone earlier is missing. */
  keep: string
  /** Events whose signed statement is gone, and that no command erased: the record has them, not the log. At most a hundred. */
  lostStatements?: (tx: Queryable) => Promise<readonly string[]>
}

/** SQL: events that name a statement, with its hash in hex, and whether an event says that a command erased its text. */
export const namedStatements = `SELECT e.id, e.data ->> 'statement' AS statement, EXISTS (
       SELECT FROM lethe_control.events t WHERE t.type = 'text.erased' AND t.data ->> 'text' = e.data ->> 'statement') AS erased
     FROM lethe_control.events e WHERE e.data ->> 'statement' IS NOT NULL`

/** One snapshot of the database; memory doesn't grow with the log. */
export async function verifyLog(
  control: Database,
  trust: Trust,
  options: VerifyOptions,
): Promise<Verification> {
  return control.transaction(
    async (tx) => {
      const report: Verification = { from: 0, entries: 0, aged: 0, heads: 0, breaks: [] }
      const found = (kind: BreakKind, at: number, message: string) => {
        if (report.breaks.length < 100) report.breaks.push({ kind, at, message })
      }
      const { size, cutoff } = await logAt(tx, options.keep)
      const mayBeGone = (await headBefore(tx, trust, { at: cutoff }))?.size ?? 0
      const tree = await startOf(tx, trust, options.from ?? 0)
      report.from = tree.size
      const heads = headsFrom(tx, trust, { others: options.others ?? [], from: tree.size }, found)
      let head = await heads.next()
      // Leaves that a signed head stands for.
      let covered = tree.size
      const compareHeads = async () => {
        for (; head.done !== true && head.value.size <= tree.size; head = await heads.next()) {
          const { value } = head
          report.heads += 1
          covered = Math.max(covered, value.size)
          const root =
            value.size === tree.size
              ? tree.root()
              : await rootOf(value.size, storedNodes(tx, tree.size)).catch(() => null)
          if (root?.equals(value.root) === true) continue
          const message = `The first ${value.size} entries are not those the head was signed for.`
          found('rewritten', value.size, message)
        }
      }
      await compareHeads()
      let sequenced = 0
      let page = entriesFrom(tx, tree.size)
      for (let next = tree.size; ;) {
        const rows = await page
        const last = rows.at(-1)
        if (last === undefined) break
        // The database reads the next page while this one is hashed.
        page = entriesFrom(tx, last.index + 1)
        for (const row of rows) {
          if (row.index !== next) found('missing', next, `Entries ${next} to ${row.index - 1} are gone.`)
          next = row.index + 1
          tree.add(leafHash(row.entry))
          if (head.done !== true && head.value.size === tree.size) await compareHeads()
          if (row.sequenced < sequenced)
            found('clock', row.index, `Entry ${row.index} got its index before the one it follows.`)
          sequenced = row.sequenced
          report.entries += 1
          if (row.content === null && row.salt === null && row.index < mayBeGone) report.aged += 1
          else checkContent(row, found)
        }
      }
      if (tree.size !== size)
        found('missing', size, `The log has ${size} entries by its own count; ${tree.size} are there.`)
      for (; head.done !== true; head = await heads.next()) {
        report.heads += 1
        const message = `A head was signed for ${head.value.size} entries; ${tree.size} are there.`
        found('missing', head.value.size, message)
      }
      await compareRecord(tx, found, options.lostStatements ?? (() => Promise.resolve([])))
      const unseen = trust.keys.length > 0 && report.heads === 0 && tree.size > 0
      if (covered < tree.size && (unseen || (await isOlderThanADay(tx, covered))))
        found(
          'unsigned',
          covered,
          unseen
            ? 'No signed head is there at all, so nothing vouches for these entries.'
            : `Entries from ${covered} on have had their index for over a day, and no head was signed for them, or it is gone.`,
        )
      const stored = await rootOf(tree.size, storedNodes(tx, tree.size)).catch(() => null)
      if (stored?.equals(tree.root()) !== true)
        found('tiles', tree.size, 'The stored tiles are not the tree of the entries.')
      return report
    },
    { isolation: 'repeatable read', readOnly: true, statementTimeoutMs: 0 },
  )
}

/** What a head was signed for that an earlier verification has reached; the empty tree where tiles and head disagree. */
async function startOf(tx: Transaction, trust: Trust, from: number): Promise<Frontier> {
  const head = from === 0 ? null : await headBefore(tx, trust, { size: from })
  if (head === null) return new Frontier()
  const tree = await Frontier.at(head.size, storedNodes(tx, head.size)).catch(() => null)
  return tree?.root().equals(head.root) === true ? tree : new Frontier()
}

/** What the record holds beside the log: an event that never got an index, a statement that is gone and that nobody erased. */
async function compareRecord(
  tx: Transaction,
  found: Found,
  lostStatements: NonNullable<VerifyOptions['lostStatements']>,
): Promise<void> {
  const forged = await tx.query(
    z.object({ id: z.string() }),
    `SELECT e.id FROM lethe_control.events e, lethe_control.evidence_log l
     WHERE pg_visible_in_snapshot(e.xact, l.seen) AND pg_snapshot_xmax(l.seen) <= pg_snapshot_xmax(pg_current_snapshot())
       AND NOT EXISTS (SELECT FROM lethe_control.evidence_entries x WHERE x.event_id = e.id) LIMIT 100`,
  )
  for (const { id } of forged)
    found(
      'forged',
      Number(id),
      `Event ${id} stands in the record and not in the log: it was put there past the log, or its entry was taken out.`,
    )
  for (const id of await lostStatements(tx))
    found('missing', Number(id), `The statement of event ${id} is gone, and nobody erased it by a command.`)
}

async function isOlderThanADay(tx: Transaction, index: number): Promise<boolean> {
  const [row] = await tx.query(
    z.object({ old: z.boolean() }),
    `SELECT sequenced_at < clock_timestamp() - interval '1 day' AS old FROM lethe_control.evidence_entries WHERE index = $1`,
    [index],
  )
  return row?.old === true
}

async function logAt(tx: Transaction, keep: string): Promise<{ size: number; cutoff: Date }> {
  const [row] = await tx.query(
    z.object({ size: z.coerce.number(), cutoff: z.date() }),
    `SELECT size, clock_timestamp() - $1::interval AS cutoff FROM lethe_control.evidence_log`,
    [keep],
  )
  if (row === undefined) throw missingLog()
  return row
}

type Found = (kind: BreakKind, at: number, message: string) => void

/** Every head of at least `from` leaves that one of the keys has signed, and the others, by size. */
async function* headsFrom(
  tx: Transaction,
  trust: Trust,
  { others, from }: { others: readonly string[]; from: number },
  found: Found,
): AsyncGenerator<TrustedCheckpoint> {
  const elsewhere: TrustedCheckpoint[] = []
  for (const note of others) {
    const head = readHead(note, trust)
    if (typeof head === 'string') found('signature', 0, head)
    else elsewhere.push(head)
  }
  elsewhere.sort((a, b) => a.size - b.size)
  let before = 0
  for await (const { size, head } of storedHeads(tx, trust, from)) {
    if (typeof head === 'string') {
      found('signature', size, head)
      continue
    }
    if (head.at.getTime() < before)
      found('clock', size, `The head at ${size} entries was signed before the one it follows.`)
    before = head.at.getTime()
    for (let other = elsewhere[0]; other !== undefined && other.size <= size; other = elsewhere[0]) {
      yield other
      elsewhere.shift()
    }
    yield head
  }
  yield* elsewhere
}

const entryRow = z.object({
  index: z.coerce.number(),
  entry: z.instanceof(Buffer),
  salt: z.instanceof(Buffer).nullable(),
  /** Seconds since 1970. */
  sequenced: z.coerce.number(),
  content: z.string().nullable(),
})
type EntryRow = z.infer<typeof entryRow>

async function entriesFrom(tx: Transaction, first: number): Promise<EntryRow[]> {
  return tx.query(
    entryRow,
    `SELECT x.index, x.entry, x.salt, extract(epoch FROM x.sequenced_at) AS sequenced, ${contentSql('e', instant('x.sequenced_at'))} AS content
     FROM lethe_control.evidence_entries x LEFT JOIN lethe_control.events e ON e.id = x.event_id
     WHERE x.index >= $1 ORDER BY x.index LIMIT ${PAGE}`,
    [first],
  )
}

function checkContent({ index, entry, salt, content }: EntryRow, found: Found): void {
  if (content === null || salt === null)
    found('missing', index, `The ${content === null ? 'event' : 'salt'} of entry ${index} is gone.`)
  else if (!commitment(salt, Buffer.from(content)).equals(entry))
    found('edited', index, `The event of entry ${index} is not what was hashed.`)
}

/** Leaves that the last verification without a break has reached. */
export async function lastVerified(control: Queryable): Promise<number> {
  const [row] = await control.query(
    z.object({ verified: z.coerce.number() }),
    'SELECT verified FROM lethe_control.evidence_log',
  )
  return row?.verified ?? 0
}

export async function markVerified(control: Queryable, size: number): Promise<void> {
  await control.execute('UPDATE lethe_control.evidence_log SET verified = $1', [size])
}
