/**
 * Verifies the living log: every entry is hashed again, every signed head compared with the tree they make, every content
 * with its commitment. Names each break and where it is; stops at none.
 */
import { z } from 'zod'
import type { Database, Queryable, Transaction } from '../db/index.ts'
import { LetheError } from '../errors/index.ts'
import type { TrustedCheckpoint } from './checkpoint.ts'
import { commitment, contentSql, instant } from './entry.ts'
import { Frontier } from './frontier.ts'
import { readHead, storedHeads, type Trust } from './heads.ts'
import { emptyRoot, leafHash, rootOf } from './merkle.ts'
import { storedNodes } from './store.ts'

const PAGE = 2_000

/**
 * `edited`: an event differs from what was hashed. `missing`: an entry, an event or the end of the log is gone.
 * `rewritten`: the entries are not those a head was signed for. `signature`: a head that no trusted key has signed, or
 * another log's. `clock`: a time before the one it follows. `tiles`: the stored tree is not the entries' tree.
 */
export type BreakKind = 'edited' | 'missing' | 'rewritten' | 'signature' | 'clock' | 'tiles'

export interface Break {
  kind: BreakKind
  /** An entry's index, or the size a head was signed for. */
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
}

/** One snapshot of the database. */
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
      const heads = await trustedHeads(tx, trust, options.others ?? [], found)
      const { size, cutoff } = await logAt(tx, options.keep)
      const mayBeGone = Math.max(0, ...heads.filter(({ at }) => at < cutoff).map((head) => head.size))
      const tree = await startOf(tx, heads, options.from ?? 0)
      report.from = tree.size
      const roots = new Map<number, Buffer>([
        [0, emptyRoot],
        [tree.size, tree.root()],
      ])
      const wanted = new Set(heads.map((head) => head.size))
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
          if (wanted.has(tree.size)) roots.set(tree.size, tree.root())
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
      for (const head of heads.filter((one) => one.size === 0 || one.size >= report.from)) {
        report.heads += 1
        const root = roots.get(head.size)
        if (root === undefined)
          found('missing', head.size, `A head was signed for ${head.size} entries; ${tree.size} are there.`)
        else if (!root.equals(head.root))
          found(
            'rewritten',
            head.size,
            `The first ${head.size} entries are not those the head was signed for.`,
          )
      }
      const stored = await rootOf(tree.size, storedNodes(tx, tree.size)).catch(() => null)
      if (stored?.equals(tree.root()) !== true)
        found('tiles', tree.size, 'The stored tiles are not the tree of the entries.')
      return report
    },
    { isolation: 'repeatable read', readOnly: true, statementTimeoutMs: 0 },
  )
}

/** What a head was signed for that an earlier verification has reached; the empty tree where tiles and head disagree. */
async function startOf(
  tx: Transaction,
  heads: readonly TrustedCheckpoint[],
  from: number,
): Promise<Frontier> {
  const head = heads.findLast(({ size }) => size > 0 && size <= from)
  if (head === undefined) return new Frontier()
  const tree = await Frontier.at(head.size, storedNodes(tx, head.size)).catch(() => null)
  return tree?.root().equals(head.root) === true ? tree : new Frontier()
}

async function logAt(tx: Transaction, keep: string): Promise<{ size: number; cutoff: Date }> {
  const [row] = await tx.query(
    z.object({ size: z.coerce.number(), cutoff: z.date() }),
    `SELECT size, clock_timestamp() - $1::interval AS cutoff FROM lethe_control.evidence_log`,
    [keep],
  )
  if (row === undefined)
    throw new LetheError('E_INTERNAL', { message: 'The row of the evidence log is missing.' })
  return row
}

type Found = (kind: BreakKind, at: number, message: string) => void

/** Every head that one of the keys has signed, by size. */
async function trustedHeads(
  tx: Transaction,
  trust: Trust,
  others: readonly string[],
  found: Found,
): Promise<TrustedCheckpoint[]> {
  const { trusted, doubtful } = await storedHeads(tx, trust)
  for (const { size, why } of doubtful) found('signature', size, why)
  for (const [n, head] of trusted.entries()) {
    const before = trusted[n - 1]
    if (before !== undefined && head.at < before.at)
      found('clock', head.size, `The head at ${head.size} entries was signed before the one it follows.`)
  }
  const elsewhere = others.flatMap((note) => {
    const head = readHead(note, trust)
    if (typeof head !== 'string') return [head]
    found('signature', 0, head)
    return []
  })
  return [...trusted, ...elsewhere].toSorted((x, y) => x.size - y.size)
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
