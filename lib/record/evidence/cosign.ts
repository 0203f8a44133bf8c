/** Has the newest head cosigned by a witness, and keeps what the witness says under it. */
import { z } from 'zod'
import type { Database } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { witnessId } from './cosignatures.ts'
import { consistencyProof } from './merkle.ts'
import { parseNote, verifyNote } from './note.ts'
import { newestHead, type Head } from './publish.ts'
import { storedNodes } from './store.ts'
import { askWitness, type Witness } from './witness.ts'

/** The leaves that were cosigned; null where there is no head, or it is cosigned already. Throws what `askWitness` throws. */
export async function cosignHead(control: Database, witness: Witness): Promise<number | null> {
  const head = await newestHead(control)
  if (head === null || verifyNote(parseNote(head.note), witness.key) !== null) return null
  const { size, at } = head
  const found = await showHead(control, witness, head)
  if (found === null) return null
  await control.execute(
    `INSERT INTO lethe_control.evidence_cosignatures (size, at, witness, line, cosigned_at)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
    [size, at, witnessId(witness.key), found.line, found.at],
  )
  return size
}

/**
 * What a witness says of a head, also of one that isn't stored yet: so that none is stored that it would refuse. Null: it was
 * overtaken by a later one. Throws what `askWitness` throws.
 */
export async function showHead(
  control: Database,
  witness: Witness,
  { size, note }: Pick<Head, 'size' | 'note'>,
): Promise<{ line: string; at: Date } | null> {
  const prove = async (old: number) => consistencyProof(old, size, storedNodes(control, size))
  try {
    return await askWitness(witness, { size, note, prove }, await cosignedSize(control, witness))
  } catch (error) {
    if (await overtaken(control, error)) return null
    throw error
  }
}

async function cosignedSize(control: Database, { key }: Witness): Promise<number> {
  const [row] = await control.query(
    z.object({ size: z.coerce.number() }),
    `SELECT coalesce(max(size), 0) AS size FROM lethe_control.evidence_cosignatures WHERE witness = $1`,
    [witnessId(key)],
  )
  return row?.size ?? 0
}

/** A keeper that was slow and lost its lease shows an old head: its successor's, which the witness knows, is no cut. */
async function overtaken(control: Database, error: unknown): Promise<boolean> {
  if (!(error instanceof LetheError) || error.facts['kind'] !== 'tail-cut') return false
  const newest = await newestHead(control)
  return newest !== null && newest.size >= Number(error.facts['signed'])
}
