/**
 * Everything that can keep a root, put together once a plan and guard: the caller's guard, legal holds, legal minimums,
 * kept roots and merged rows. The same conditions are evaluated when the roots are locked and again in the statement
 * that deletes them.
 *
 * What the lock on the root row closes, and what it doesn't: a row with a foreign key to the root (the application's own
 * hold table, a new invoice) needs KEY SHARE on the root to be inserted, which waits for our FOR UPDATE. So it either
 * committed before our lock was granted, and the statement after the lock, with its newer snapshot, sees it; or it waits
 * for our end and then fails on the missing root. Without such a foreign key nothing waits: what commits before the
 * root's deleting statement begins is seen by that statement, what commits in the moments between it and our commit is
 * not. A hold table should therefore have the foreign key, or its writer should lock the root row first.
 */
import { sqlColumn, sqlLiteral, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { Guard } from './batch.ts'
import { holdsCondition } from './holds.ts'
import { keptCondition } from './kept.ts'
import { rootTable } from './root-sql.ts'

export interface FullGuard {
  /** SQL over `root`; 'true' where the caller has decided. */
  due: string
  clear: readonly { reason: string; sql: string }[]
  values: readonly unknown[]
  /** Only holds: what can still be asked where the root row is gone. */
  held: string
}

/** A plan belongs to one database and its hold conditions depend on it alone, so they are looked up once a plan. */
const held = new WeakMap<DeletionPlan, Promise<string>>()

export async function fullGuard(db: Queryable, plan: DeletionPlan, guard: Guard | null): Promise<FullGuard> {
  const holds = await heldCondition(db, plan)
  return {
    due: guard?.due ?? 'true',
    clear: [
      { reason: 'held', sql: holds },
      ...(guard?.clear ?? []),
      ...plan.minimums.map((minimum) => ({
        reason: `minimum:${tableKey(minimum.table)}`,
        sql: minimum.condition,
      })),
      ...(plan.keptCondition === null ? [] : [{ reason: 'kept', sql: keptCondition(plan) }]),
    ],
    values: guard?.values ?? [],
    held: holds,
  }
}

/** SQL over `root`: it was merged into a root that is still there, and goes when that one goes. */
export function mergedCondition(plan: DeletionPlan): string {
  const [key] = plan.key
  if (plan.alias === null || key === undefined) return 'false'
  return `EXISTS (SELECT FROM ${rootTable(plan)} head WHERE ${sqlColumn('head', key.name)} = ${sqlColumn('root', plan.alias)})`
}

/** SQL giving the first reason why the row must stay, null where there is none. A condition that is null doesn't hold. */
export function firstReason(guard: FullGuard): string {
  const cases = guard.clear.map((entry) => `WHEN (${entry.sql}) THEN ${sqlLiteral(entry.reason)}`)
  return `CASE ${cases.join('\n ')} END`
}

/**
 * The guard as the root's own statement carries it. The root row is locked since it was found due, so its columns are
 * as they were; but a clock may read rows that this batch has just deleted and then be null: only a clear "not due" stops.
 */
export function finalGuard(guard: FullGuard, isMerged: string): string {
  const clear = guard.clear
    .filter((entry) => entry.reason !== 'kept')
    .map((entry) => `(${entry.sql}) IS NOT TRUE`)
  return [`(${isMerged} OR (${guard.due}) IS NOT FALSE)`, ...clear].join('\n AND ')
}

/** SQL over `root`: a hold of any level keeps this subject. */
export function heldCondition(db: Queryable, plan: DeletionPlan): Promise<string> {
  const known = held.get(plan)
  if (known !== undefined) return known
  const made = holdsCondition(db, plan)
  held.set(plan, made)
  made.catch(() => held.delete(plan))
  return made
}
