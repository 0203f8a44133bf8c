/**
 * Roots that had to stay because rows are kept: pseudonymised, recorded in lethe.kept_roots, and left alone for as long as
 * the map keeps what it keeps of them. The map decides anew each time: a retention that was shortened ends sooner, one that
 * was lengthened later, whatever end was recorded. When a row's time is over, its root is due again, and a sweep ends it.
 */
import { z } from 'zod'
import { sqlLiteral, sqlTable, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Transaction } from '../../../base/db/index.ts'
import { givenKeys, keyArrays, namesRoot } from './root-sql.ts'

/** SQL condition over `root`: it was pseudonymised, and nothing of it has to go yet. Neither proposed nor processed then. */
export function keptCondition(plan: DeletionPlan): string {
  return recorded(plan, stillKept(plan))
}

/** SQL condition over `root`: it was pseudonymised once and something of it is over, so it is due whatever its clock says. */
export function keptIsDue(plan: DeletionPlan): string {
  return recorded(plan, `NOT (${stillKept(plan)})`)
}

/**
 * SQL condition over `root`: a request decided about a class of its records that they stay, and their end has not come. A
 * sweep's plan knows nothing of that decision; the plan of a request carries its own.
 */
export function keptByDecision(plan: DeletionPlan): string {
  return recorded(plan, `k.classes <> '{}' AND (k.until IS NULL OR k.until > now())`)
}

/** Asked only of roots that are recorded: they are few, and the condition reads tables. */
function recorded(plan: DeletionPlan, condition: string): string {
  const ours = `k.subject_kind = ${sqlLiteral(plan.subject)}`
  return `EXISTS (SELECT FROM lethe.kept_roots k WHERE ${ours}
    AND ${namesRoot(plan, 'k.root_key', ours)} AND CASE WHEN k.subject_kind <> '' THEN (${condition}) END)`
}

/** The map keeps the root, and no row of it is one that the map kept and keeps no longer. */
function stillKept(plan: DeletionPlan): string {
  const over = plan.tables
    .filter(({ action, stays }) => action === 'retain' && stays !== 'true')
    .map(
      ({ table, belongs, stays }) =>
        `NOT EXISTS (SELECT 1 FROM ${sqlTable(table)} t WHERE (${belongs}) AND NOT (${stays ?? 'false'}) OFFSET 0)`,
    )
  return [`(${plan.keptCondition ?? 'false'})`, ...over].join(' AND ')
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
  { runId, retained = [] }: { runId: string; retained?: readonly string[] },
  kept: readonly { key: RootKey; until: Date | null }[],
): Promise<void> {
  if (kept.length === 0) return
  const width = plan.key.length
  const names = plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
  await tx.execute(
    `INSERT INTO lethe.kept_roots (subject_kind, root_key, until, ground, run_id, classes)
     SELECT $${width + 1}, ARRAY[${names}], (($${width + 2}::timestamptz[])[given.ord]), $${width + 3}, $${width + 4}, $${width + 5}::text[]
     FROM ${givenKeys(plan)}
     ON CONFLICT (subject_kind, root_key) DO UPDATE SET until = EXCLUDED.until, ground = EXCLUDED.ground, run_id = EXCLUDED.run_id,
       classes = EXCLUDED.classes`,
    [
      ...keyArrays(
        plan,
        kept.map((entry) => entry.key),
      ),
      plan.subject,
      kept.map((entry) => entry.until),
      keptGround(plan),
      runId,
      retained,
    ],
  )
}

/** Roots that are gone for good are no kept roots any more. */
export async function forgetKeptRoots(
  tx: Transaction,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<void> {
  if (keys.length === 0) return
  const names = plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
  await tx.execute(
    `DELETE FROM lethe.kept_roots USING ${givenKeys(plan)}
     WHERE subject_kind = $${plan.key.length + 1} AND root_key = ARRAY[${names}]`,
    [...keyArrays(plan, keys), plan.subject],
  )
}
