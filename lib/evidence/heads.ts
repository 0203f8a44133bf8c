/** The signed heads that the control database holds, read with the log's keys: what no key has signed counts for nothing. */
import { z } from 'zod'
import type { Queryable } from '../db/index.ts'
import { LetheError } from '../errors/index.ts'
import { trustCheckpoint, type TrustedCheckpoint } from './checkpoint.ts'
import type { VerifierKey } from './note.ts'

/** What a verifier goes by. */
export interface Trust {
  origin: string
  keys: readonly VerifierKey[]
}

export interface StoredHeads {
  /** By size, then by when they were stored. */
  trusted: TrustedCheckpoint[]
  /** Those that can't be believed, with the size they are stored for. */
  doubtful: { size: number; why: string }[]
}

export async function storedHeads(db: Queryable, trust: Trust): Promise<StoredHeads> {
  const rows = await db.query(
    z.object({ size: z.coerce.number(), note: z.string() }),
    `SELECT size, note FROM lethe_control.evidence_checkpoints ORDER BY size, at`,
  )
  const heads: StoredHeads = { trusted: [], doubtful: [] }
  for (const { size, note } of rows) {
    const head = readHead(note, trust)
    if (typeof head === 'string') heads.doubtful.push({ size, why: head })
    else if (head.size === size) heads.trusted.push(head)
    else
      heads.doubtful.push({
        size,
        why: `The head stored for ${size} entries was signed for ${head.size}.`,
      })
  }
  return heads
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
