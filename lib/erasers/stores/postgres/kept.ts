/**
 * Roots that had to stay because rows are kept: pseudonymised, recorded in lethe.kept_roots with the end of the last
 * ground, and left alone until then. After that they are due again, and a sweep ends them.
 */
import { z } from 'zod'
import { sqlLiteral, tableKey, type DeletionPlan, type RootKey } from '../../../datamap/index.ts'
import type { Transaction } from '../../../db/index.ts'
import { givenKeys, keyArrays, rootKeyText } from './root-sql.ts'

/**
 * SQL condition over `root`: it was pseudonymised and the ground for keeping it still stands. Such a root is neither
 * proposed nor processed. Without an end date the ground stands as long as rows still name the root.
 */
export function keptCondition(plan: DeletionPlan): string {
  return `EXISTS (SELECT FROM lethe.kept_roots k WHERE k.subject_kind = ${sqlLiteral(plan.subject)}
    AND k.root_key = ${rootKeyText(plan)}
    AND CASE WHEN k.until IS NULL THEN (${plan.keptCondition ?? 'false'}) ELSE k.until > now() END)`
}

/** SQL condition over `root`: it was pseudonymised once and its ground has ended, so it is due whatever its clock says. */
export function keptIsDue(plan: DeletionPlan): string {
  return `EXISTS (SELECT FROM lethe.kept_roots k WHERE k.subject_kind = ${sqlLiteral(plan.subject)}
    AND k.root_key = ${rootKeyText(plan)}
    AND CASE WHEN k.until IS NULL THEN NOT (${plan.keptCondition ?? 'false'}) ELSE k.until <= now() END)`
}

/** Why a plan's roots may have to stay, in the words that lethe.kept_roots and receipts show. */
export function keptGround(plan: DeletionPlan): string {
  const retained = plan.tables
    .filter((entry) => entry.action === 'retain')
    .map((entry) => tableKey(entry.table))
  return retained.length === 0 ? 'rows that stay name it' : `kept rows in ${retained.join(', ')}`
}

/** Of these roots, those that no earlier run has pseudonymised already. */
export async function notKeptBefore(
  tx: Transaction,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<RootKey[]> {
  if (keys.length === 0) return []
  const names = plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
  const rows = await tx.query(
    z.object({ ord: z.number() }),
    `SELECT given.ord::int AS ord FROM ${givenKeys(plan)} JOIN lethe.kept_roots k
       ON k.subject_kind = $${plan.key.length + 1} AND k.root_key = ARRAY[${names}]`,
    [...keyArrays(plan, keys), plan.subject],
  )
  const before = new Set(rows.map(({ ord }) => ord))
  return keys.filter((_, place) => !before.has(place + 1))
}

export async function recordKeptRoots(
  tx: Transaction,
  plan: DeletionPlan,
  runId: string,
  kept: readonly { key: RootKey; until: Date | null }[],
): Promise<void> {
  if (kept.length === 0) return
  const width = plan.key.length
  const names = plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
  await tx.execute(
    `INSERT INTO lethe.kept_roots (subject_kind, root_key, until, ground, run_id)
     SELECT $${width + 1}, ARRAY[${names}], (($${width + 2}::timestamptz[])[given.ord]), $${width + 3}, $${width + 4}
     FROM ${givenKeys(plan)}
     ON CONFLICT (subject_kind, root_key) DO UPDATE SET until = EXCLUDED.until, ground = EXCLUDED.ground, run_id = EXCLUDED.run_id`,
    [
      ...keyArrays(
        plan,
        kept.map((entry) => entry.key),
      ),
      plan.subject,
      kept.map((entry) => entry.until),
      keptGround(plan),
      runId,
    ],
  )
}

/** Roots that are gone for good are no kept roots any more. */
export async function forgetKeptRoots(
  tx: Transaction,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<void> {
  if (keys.length === 0 || plan.keptCondition === null) return
  const names = plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
  await tx.execute(
    `DELETE FROM lethe.kept_roots USING ${givenKeys(plan)}
     WHERE subject_kind = $${plan.key.length + 1} AND root_key = ARRAY[${names}]`,
    [...keyArrays(plan, keys), plan.subject],
  )
}
