/** Locks the roots of a batch and decides, under the lock, which subjects may go. */
import { z } from 'zod'
import { sqlColumn, type DeletionPlan } from '../../../datamap/index.ts'
import type { Transaction } from '../../../db/index.ts'
import type { Subject } from './batch.ts'
import { firstReason, mergedCondition, type FullGuard } from './guard.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  rootFromKey,
  rootIsMissing,
  rootTable,
  shiftParameters,
} from './root-sql.ts'

export interface Candidate {
  subject: Subject
  /** Keys whose root row is there; the others' rows elsewhere still go, since their keys are known. */
  present: readonly string[][]
  /** When the last ground for keeping the root ends; null: open, or nothing keeps it. */
  keptUntil: Date | null
}

export interface Decisions {
  go: Candidate[]
  locked: Subject[]
  skipped: { subject: Subject; reason: string }[]
}

interface FlatKey {
  subject: Subject
  key: readonly string[]
  merged: boolean
}

/**
 * Two statements, and that is the point: the second takes its snapshot after the locks are granted, so it sees every row
 * that was committed while we waited, and what points at a locked root can't be added any more (see guard.ts).
 * `decided`: an oversized removal has begun, nothing is asked any more.
 */
export async function decide(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
  subjects: readonly Subject[],
  options: { wait: boolean; decided: boolean },
): Promise<Decisions> {
  const flat = subjects.flatMap((subject) =>
    subject.keys.map((key, place): FlatKey => ({ subject, key, merged: place > 0 })),
  )
  const locked = await lockRoots(tx, plan, flat, options.wait)
  const rows = await evaluate(tx, plan, guard, flat, options.decided)
  const held = options.decided ? new Set<Subject>() : await heldWithoutRoot(tx, plan, guard, flat, rows)
  const strangers = await unexpandedMerges(tx, plan, flat)

  const decisions: Decisions = { go: [], locked: [], skipped: [] }
  for (const subject of subjects) {
    const own = flat.flatMap((entry, place) =>
      entry.subject === subject
        ? [{ ...entry, row: rows.get(place + 1), locked: locked.has(place + 1) }]
        : [],
    )
    const present = own.filter((entry) => entry.row?.present === true)
    const reason = own.find((entry) => (entry.row?.reason ?? null) !== null)?.row?.reason
    if (present.some((entry) => !entry.locked) || strangers.has(subject)) decisions.locked.push(subject)
    else if (held.has(subject)) decisions.skipped.push({ subject, reason: 'held' })
    else if (reason !== undefined && reason !== null) decisions.skipped.push({ subject, reason })
    else
      decisions.go.push({
        subject,
        present: present.map((entry) => [...entry.key]),
        keptUntil: lastUntil(present.map((entry) => entry.row?.kept_until ?? null)),
      })
  }
  return decisions
}

/** Places (from 1) of the keys whose row is locked now. */
async function lockRoots(
  tx: Transaction,
  plan: DeletionPlan,
  flat: readonly FlatKey[],
  wait: boolean,
): Promise<Set<number>> {
  const rows = await tx.query(
    z.object({ ord: z.number() }),
    `SELECT given.ord::int AS ord FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
     FOR UPDATE OF root${wait ? '' : ' SKIP LOCKED'}`,
    keyArrays(
      plan,
      flat.map((entry) => entry.key),
    ),
  )
  return new Set(rows.map((row) => row.ord))
}

const evaluated = z.object({
  ord: z.number(),
  present: z.boolean(),
  reason: z.string().nullable(),
  kept_until: z.date().nullable(),
})

async function evaluate(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
  flat: readonly FlatKey[],
  decided: boolean,
): Promise<Map<number, z.infer<typeof evaluated>>> {
  const width = plan.key.length
  const merged = `(($${width + 1}::boolean[])[given.ord])`
  const move = (sql: string) => shiftParameters(sql, width + 1)
  const reason = decided
    ? 'NULL::text'
    : `CASE WHEN ${rootIsMissing(plan)} THEN NULL
        WHEN NOT ${merged} AND (${mergedCondition(plan)}) THEN 'merged'
        ELSE coalesce(${move(firstReason(guard))}, CASE WHEN ${merged} OR (${move(guard.due)}) THEN NULL ELSE 'not-due' END) END`
  const until =
    plan.keptUntil === null || plan.keptCondition === null
      ? 'NULL::timestamptz'
      : `CASE WHEN (${plan.keptCondition}) THEN (${plan.keptUntil})::timestamptz END`
  const rows = await tx.query(
    evaluated,
    `SELECT given.ord::int AS ord, NOT (${rootIsMissing(plan)}) AS present, ${reason} AS reason, ${until} AS kept_until
     FROM ${givenKeys(plan)} LEFT JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}`,
    [
      ...keyArrays(
        plan,
        flat.map((entry) => entry.key),
      ),
      ...(decided ? [] : [flat.map((entry) => entry.merged), ...guard.values]),
    ],
  )
  return new Map(rows.map((row) => [row.ord, row]))
}

/**
 * A root that the application has removed itself since the approval: whether it was due can't be asked any more, and it
 * was in the approved population; but a hold on it, or on a row that its key still leads to, counts.
 */
async function heldWithoutRoot(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
  flat: readonly FlatKey[],
  rows: ReadonlyMap<number, { present: boolean }>,
): Promise<Set<Subject>> {
  const gone = flat.filter((_, place) => rows.get(place + 1)?.present !== true)
  if (gone.length === 0) return new Set()
  const found = await tx.query(
    z.object({ ord: z.number() }),
    `SELECT given.ord::int AS ord FROM ${givenKeys(plan)}
     CROSS JOIN LATERAL ${rootFromKey(plan)} AS root WHERE ${guard.held}`,
    keyArrays(
      plan,
      gone.map((entry) => entry.key),
    ),
  )
  return new Set(
    found.flatMap((row) => {
      const entry = gone[row.ord - 1]
      return entry === undefined ? [] : [entry.subject]
    }),
  )
}

/** Subjects into which a row was merged after they were expanded: its ledger entry is missing, so they wait a round. */
async function unexpandedMerges(
  tx: Transaction,
  plan: DeletionPlan,
  flat: readonly FlatKey[],
): Promise<Set<Subject>> {
  const [key] = plan.key
  if (plan.alias === null || key === undefined) return new Set()
  const found = await tx.query(
    z.object({ ord: z.number() }),
    `SELECT given.ord::int AS ord FROM ${givenKeys(plan)}
     JOIN ${rootTable(plan)} root ON ${sqlColumn('root', plan.alias)} = given.k1::${key.type}
     WHERE ${sqlColumn('root', key.name)} <> ALL ($1::text[]::${key.type}[])`,
    keyArrays(
      plan,
      flat.map((entry) => entry.key),
    ),
  )
  return new Set(
    found.flatMap((row) => {
      const entry = flat[row.ord - 1]
      return entry === undefined ? [] : [entry.subject]
    }),
  )
}

function lastUntil(dates: readonly (Date | null)[]): Date | null {
  const known = dates.filter((date) => date !== null)
  return known.length === 0 ? null : new Date(Math.max(...known.map((date) => date.getTime())))
}
