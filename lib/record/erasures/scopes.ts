/** What entries of the erasure ledger apply to: one run, one store, one map and plan. Entries point here and stay small. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'

export interface ErasureScope {
  runId: string
  store: string
  subjectKind: string
  mapVersion: string
  planHash: string
  /** Where a run works under several plans at once: what tells them apart. */
  variant?: string
}

/**
 * The id of the run's scope in this store, made at the first call. Throws E_SCOPE_CHANGED where the run goes on under
 * another map or plan than it recorded: what executes must be what the ledger says.
 */
export async function openScope(control: Queryable, scope: ErasureScope): Promise<string> {
  const values = [
    scope.runId,
    scope.store,
    scope.subjectKind,
    scope.mapVersion,
    scope.planHash,
    scope.variant ?? '',
  ]
  await control.execute(
    `INSERT INTO lethe_control.erasure_scopes (run_id, store, subject_kind, map_version, plan_hash, variant)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id, store, variant) DO NOTHING`,
    values,
  )
  const [row] = await control.query(
    z.object({ id: z.string(), same: z.boolean() }),
    `SELECT id, (subject_kind, map_version, plan_hash) = ($3, $4, $5) AS same
     FROM lethe_control.erasure_scopes WHERE run_id = $1 AND store = $2 AND variant = $6`,
    values,
  )
  if (row?.same === true) return row.id
  throw new LetheError('E_SCOPE_CHANGED', {
    message: `Run ${scope.runId} recorded another map or plan for store ${scope.store} than it has now.`,
    left: 'What was removed so far stands in the ledger; nothing more was removed.',
    facts: { run: scope.runId, store: scope.store },
  })
}

/** The scope's subjects were read back and found absent. The first such instant stays. */
export async function markVerified(control: Queryable, scopeId: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.erasure_scopes SET verified_at = clock_timestamp() WHERE id = $1 AND verified_at IS NULL`,
    [scopeId],
  )
}
