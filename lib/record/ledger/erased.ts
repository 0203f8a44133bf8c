/** What the erasure ledger says of a subject, and of a run. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'

/** The newest entry of any scope says that it was erased. `hashes`: the subject under every key of the vault. */
export async function isErased(control: Queryable, hashes: readonly Buffer[]): Promise<boolean> {
  const [row] = await control.query(
    z.object({ erased: z.boolean() }),
    `SELECT coalesce((SELECT e.entry = 'erase' FROM lethe_control.erasures e WHERE e.subject_hash = ANY($1::bytea[])
       ORDER BY e.id DESC LIMIT 1), false) AS erased`,
    [hashes],
  )
  return row?.erased === true
}
