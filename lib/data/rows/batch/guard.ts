/**
 * Everything that can keep a root, put together once a plan and guard: the caller's guard, legal holds, legal minimums,
 * kept roots and merged rows. The same conditions are evaluated when the roots are locked, in the batch's one snapshot,
 * and again when its rows are gone and nothing is committed yet, beside its transaction: see `turnedSince`.
 *
 * What the lock on the root row closes, and what it doesn't: a row with a foreign key to the root (the application's own
 * hold table, a new invoice) needs KEY SHARE on the root to be inserted, which waits for our FOR UPDATE. So it either
 * committed before our lock was granted, and PostgreSQL's own check of the key, which looks past the snapshot, refuses to
 * remove the root; or it waits for our end and then fails on the missing root. Without such a foreign key nothing waits:
 * what commits before the second question is seen by it, what commits in the moments between it and our commit is not. A
 * hold table should therefore have the foreign key, or its writer should lock the root row first.
 */
import { sqlColumn, sqlLiteral, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, OwnerSearch } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { Guard } from './batch.ts'
import { ANY_HOLD, holdsCondition } from './holds.ts'
import { keptCondition } from './kept.ts'
import { rootTable } from './root-sql.ts'

export interface FullGuard {
  /** SQL over `root`; 'true' where the caller has decided. */
  due: string
  clear: readonly Reason[]
  values: readonly unknown[]
  /** Only holds: what can still be asked where the root row is gone. */
  held: string
}

export interface Reason {
  reason: string
  /** Condition over `root`. */
  sql: string
  /** A hold of the application's own on this very row. */
  own?: true
}

/** A plan belongs to one database and its hold conditions depend on it alone, so they are looked up once a plan. */
const known = new WeakMap<DeletionPlan, Promise<Reason[]>>()

export async function fullGuard(db: Queryable, plan: DeletionPlan, guard: Guard | null): Promise<FullGuard> {
  const holds = await holdConditions(db, plan)
  return {
    due: guard?.due ?? 'true',
    clear: [
      ...holds,
      ...(guard?.clear ?? []),
      ...plan.minimums.map((minimum) => ({
        reason: `minimum:${tableKey(minimum.table)}`,
        sql: minimum.condition,
      })),
      ...(plan.keptCondition === null ? [] : [{ reason: 'kept', sql: keptCondition(plan) }]),
    ],
    values: guard?.values ?? [],
    // the application's own are asked of the row's columns, and a row that is gone has none but its key
    held: holds
      .filter(({ own }) => own !== true)
      .map(({ sql }) => `(${sql})`)
      .join(' OR '),
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

/** Whether the guard reads what others may write meanwhile. Projected holds can't change: the batch has their lock. */
export function mayTurn(guard: FullGuard): boolean {
  return guard.due !== 'true' || guard.clear.some(({ reason }) => reason !== 'held')
}

/**
 * Everything by which somebody holds a subject, in the order in which it is told: Lethe's holds (`held`), the application's own
 * (`hold:NAME`), and both on other owners of rows that would go (`subject-held`, `hold:NAME`).
 */
export function holdConditions(db: Queryable, plan: DeletionPlan): Promise<readonly Reason[]> {
  const found = known.get(plan)
  if (found !== undefined) return found
  const made = conditionsOf(db, plan)
  known.set(plan, made)
  made.catch(() => known.delete(plan))
  return made
}

async function conditionsOf(db: Queryable, plan: DeletionPlan): Promise<Reason[]> {
  const ofOwners: string[] = []
  for (const owner of plan.owners) ofOwners.push(searched(owner, await holdsCondition(db, owner)))
  return [
    { reason: 'held', sql: await holdsCondition(db, plan) },
    ...plan.holds.map(({ name, sql }) => ({ reason: `hold:${name}`, sql, own: true as const })),
    // without holds the first question is all that this costs
    ...(ofOwners.length === 0
      ? []
      : [{ reason: 'subject-held', sql: `${ANY_HOLD} AND (${ofOwners.join('\n OR ')})` }]),
    ...plan.owners.flatMap((owner) =>
      owner.holds.map((hold) => ({ ...own(hold), sql: searched(owner, hold.sql) })),
    ),
  ]
}

function own({ name, sql }: { name: string; sql: string }): Reason {
  return { reason: `hold:${name}`, sql }
}

/** SQL over the plan's `root`: `condition` holds of an owner's row. */
function searched({ searches }: OwnerSearch, condition: string): string {
  return searches.map(({ before, after }) => `${before}(${condition})${after}`).join('\n OR ')
}
