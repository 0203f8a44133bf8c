/** The signed heads that the control database holds, read with the log's keys: what no key has signed counts for nothing. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import type { VerifierKey } from './note.ts'

/** What a verifier goes by. */
export interface Trust {
  origin: string
  keys: readonly VerifierKey[]
}

const PAGE = 1_000
const row = z.object({ size: z.coerce.number(), at: z.string(), note: z.string() })

export interface StoredHead {
  /** What it is stored for. */
  size: number
  /** Or in words why it can't be believed. */
  head: TrustedCheckpoint | string
}

/** Heads of at least `from` leaves, by size and age; one a minute makes many, so they are read a page at a time. */
export async function* storedHeads(db: Queryable, trust: Trust, from = 0): AsyncGenerator<StoredHead> {
  let last = { size: from, at: '-infinity' }
  for (;;) {
    const rows = await db.query(
      row,
      `SELECT size, at::text, note FROM lethe_control.evidence_checkpoints
       WHERE (size, at) > ($1::bigint, $2::timestamptz) ORDER BY size, at LIMIT ${PAGE}`,
      [last.size, last.at],
    )
    for (const { size, note } of rows) {
      const head = readHead(note, trust)
      yield typeof head === 'string' || head.size === size
        ? { size, head }
        : { size, head: `The head stored for ${size} entries was signed for ${head.size}.` }
    }
    const end = rows.at(-1)
    if (end === undefined) return
    last = end
  }
}

/** The newest head of at most `size` leaves, signed before `at`; null where none can be believed. */
export async function headBefore(
  db: Queryable,
  trust: Trust,
  limit: { size: number } | { at: Date },
): Promise<TrustedCheckpoint | null> {
  const rows = await db.query(
    row,
    `SELECT size, at::text, note FROM lethe_control.evidence_checkpoints
     WHERE size > 0 AND ($1::bigint IS NULL OR size <= $1) AND ($2::timestamptz IS NULL OR at < $2)
     ORDER BY size DESC, at DESC LIMIT 10`,
    'size' in limit ? [limit.size, null] : [null, limit.at],
  )
  for (const { size, note } of rows) {
    const head = readHead(note, trust)
    if (typeof head !== 'string' && head.size === size && (!('at' in limit) || head.at < limit.at))
      return head
  }
  return null
}

/** The head, or in words why it can't be believed. */
export function readHead(note: string, { origin, keys }: Trust): TrustedCheckpoint | string {
  try {
    return trustCheckpoint(note, origin, keys)
  } catch (error) {
    if (error instanceof LetheError) return error.message
    throw error
  }
}
