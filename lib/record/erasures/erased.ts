/** What the erasure ledger says of a subject, and of a run. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'

/** The newest entry of any scope says that it was erased. `hashes`: the subject under every key of the keystore. */
export async function isErased(control: Queryable, hashes: readonly Buffer[]): Promise<boolean> {
  const [row] = await control.query(
    z.object({ erased: z.boolean() }),
    `SELECT coalesce((SELECT e.entry = 'erase' FROM lethe_control.erasures e WHERE e.subject_hash = ANY($1::bytea[])
       ORDER BY e.id DESC LIMIT 1), false) AS erased`,
    [hashes],
  )
  return row?.erased === true
}

const scopeRow = z.object({
  id: z.string(),
  store: z.string(),
  subjectKind: z.string(),
  verifiedAt: z.date().nullable(),
})
export type RunScope = z.infer<typeof scopeRow>

/** What a run's erasures applied to. */
export async function scopesOf(tx: Queryable, runId: string): Promise<RunScope[]> {
  return tx.query(
    scopeRow,
    `SELECT id, store, subject_kind AS "subjectKind", verified_at AS "verifiedAt"
     FROM lethe_control.erasure_scopes WHERE run_id = $1 ORDER BY id`,
    [runId],
  )
}
