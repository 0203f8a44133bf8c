/**
 * Verifies the living log: every entry is hashed again, every signed head compared with the tree they make, every content
 * with its commitment and with the event it was made from. Names each break and where it is; stops at none.
 */
import { z } from 'zod'
import { canonicalJson } from '../canonical/index.ts'
import type { Database, Transaction } from '../db/index.ts'
import { LetheError } from '../errors/index.ts'
import { trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import { commitment, contentSchema } from './entry.ts'
import { emptyRoot, leafHash, nodeHash, rootOf } from './merkle.ts'
import type { VerifierKey } from './note.ts'
import { instant } from './sequence.ts'
import { storedNodes } from './store.ts'

const PAGE = 5_000

/**
 * `edited`: content or event differ from what was hashed. `missing`: an entry, an event or the end of the log is gone.
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
  /** Entries hashed again. */
  entries: number
  /** Of those, entries whose content has aged out: only their hash was checked. */
  aged: number
  /** Heads compared. */
  heads: number
  /** The first hundred. */
  breaks: Break[]
}

export interface Trust {
  origin: string
  keys: readonly VerifierKey[]
}

/** `published`: the newest head as the bucket has it, where there is one. One snapshot of the database. */
export async function verifyLog(
  control: Database,
  trust: Trust,
  published: string | null = null,
): Promise<Verification> {
  return control.transaction(
    async (tx) => {
      const report: Verification = { entries: 0, aged: 0, heads: 0, breaks: [] }
      const found = (kind: BreakKind, at: number, message: string) => {
        if (report.breaks.length < 100) report.breaks.push({ kind, at, message })
      }
      const heads = await trustedHeads(tx, trust, published, found)
      const tree = new GrowingTree()
      const roots = new Map<number, Buffer>([[0, emptyRoot]])
      const wanted = new Set(heads.map(({ size }) => size))
      let sequenced = ''
      for (let next = 0; ;) {
        const rows = await entriesFrom(tx, next)
        if (rows.length === 0) break
        for (const row of rows) {
          if (row.index !== next) found('missing', next, `Entries ${next} to ${row.index - 1} are gone.`)
          next = row.index + 1
          tree.add(leafHash(row.entry))
          report.entries += 1
          if (wanted.has(tree.size)) roots.set(tree.size, tree.root())
          if (row.content === null || row.salt === null) report.aged += 1
          else sequenced = checkContent(row, row.salt, row.content, sequenced, found)
        }
      }
      for (const head of heads) {
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

type Found = (kind: BreakKind, at: number, message: string) => void

async function trustedHeads(
  tx: Transaction,
  { origin, keys }: Trust,
  published: string | null,
  found: Found,
): Promise<TrustedCheckpoint[]> {
  const rows = await tx.query(
    z.object({ size: z.coerce.number(), note: z.string() }),
    `SELECT size, note FROM lethe_control.evidence_checkpoints ORDER BY size, at`,
  )
  const heads: TrustedCheckpoint[] = []
  let before = 0
  for (const { size, note } of [...rows, ...(published === null ? [] : [{ size: -1, note: published }])]) {
    try {
      const head = trustCheckpoint(note, origin, keys)
      if (size >= 0 && head.size !== size)
        found('signature', size, `The head stored for ${size} entries was signed for ${head.size}.`)
      if (size >= 0 && head.at.getTime() < before)
        found('clock', head.size, `The head at ${head.size} entries was signed before the one it follows.`)
      if (size >= 0) before = head.at.getTime()
      heads.push(head)
    } catch (error) {
      if (!(error instanceof LetheError)) throw error
      found('signature', Math.max(size, 0), error.message)
    }
  }
  return heads
}

const entryRow = z.object({
  index: z.coerce.number(),
  entry: z.instanceof(Buffer),
  salt: z.instanceof(Buffer).nullable(),
  content: z.instanceof(Buffer).nullable(),
  event: z
    .object({
      id: z.string(),
      type: z.string(),
      at: z.string(),
      actor: z.string().nullable(),
      run: z.string().nullable(),
      data: z.record(z.string(), z.unknown()),
    })
    .nullable(),
})
type EntryRow = z.infer<typeof entryRow>

async function entriesFrom(tx: Transaction, first: number): Promise<EntryRow[]> {
  return tx.query(
    entryRow,
    `SELECT x.index, x.entry, x.salt, x.content, CASE WHEN e.id IS NULL THEN NULL ELSE jsonb_build_object(
       'id', e.id::text, 'type', e.type, 'at', ${instant('e.at')}, 'actor', e.actor, 'run', e.run_id, 'data', e.data) END AS event
     FROM lethe_control.evidence_entries x LEFT JOIN lethe_control.events e ON e.id = x.event_id
     WHERE x.index >= $1 ORDER BY x.index LIMIT ${PAGE}`,
    [first],
  )
}

/** Returns the instant at which the entry was sequenced, for the next one to follow. */
function checkContent(row: EntryRow, salt: Buffer, content: Buffer, sequenced: string, found: Found): string {
  const { index, entry, event } = row
  const parsed = contentSchema.safeParse(readJson(content))
  if (!commitment(salt, content).equals(entry) || !parsed.success) {
    found('edited', index, `The content of entry ${index} is not what was hashed.`)
    return sequenced
  }
  const { v: _v, sequenced: at, ...recorded } = parsed.data
  if (event === null)
    found('missing', index, `Event ${recorded.id}, entry ${index}, is gone from the record.`)
  else if (canonicalJson(event) !== canonicalJson(recorded))
    found('edited', index, `Event ${recorded.id}, entry ${index}, is not what was recorded.`)
  if (at < sequenced) found('clock', index, `Entry ${index} got its index before the one it follows.`)
  return at
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** The roots of the complete subtrees, largest first: a tree that only grows needs no more. */
class GrowingTree {
  size = 0
  readonly #subtrees: { leaves: number; hash: Buffer }[] = []

  add(leaf: Buffer): void {
    let grown = { leaves: 1, hash: leaf }
    for (let last = this.#subtrees.at(-1); last?.leaves === grown.leaves; last = this.#subtrees.at(-1)) {
      grown = { leaves: last.leaves * 2, hash: nodeHash(last.hash, grown.hash) }
      this.#subtrees.pop()
    }
    this.#subtrees.push(grown)
    this.size += 1
  }

  root(): Buffer {
    const [smallest, ...larger] = this.#subtrees.toReversed()
    if (smallest === undefined) return emptyRoot
    return larger.reduce((hash, subtree) => nodeHash(subtree.hash, hash), smallest.hash)
  }
}
