/** Locks the roots of a batch and decides, under the lock, which subjects may go. */
import { z } from 'zod'
import { LetheError } from '../../../base/errors/index.ts'
import { sqlColumn, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Database, Transaction } from '../../../base/db/index.ts'
import type { Subject } from './batch.ts'
import { firstReason, mayTurn, mergedCondition, type FullGuard } from './guard.ts'
import {
  givenKeys,
  keyArrays,
  keyId,
  plannedOnce,
  rootFromKey,
  rootIsGiven,
  rootKeyText,
  rootTable,
  shiftParameters,
} from './root-sql.ts'

export interface Candidate {
  subject: Subject
  /** Keys whose root row is there; the others' rows elsewhere still go, since their keys are known. */
  present: readonly RootKey[]
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
 * In the batch's snapshot. A root that another session has changed since is a serialization failure (see `isChanged`), and
 * what points at a locked root can't be added any more (see guard.ts). `decided`: an oversized removal has begun, nothing
 * is asked any more.
 */
export async function decide(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
  subjects: readonly Subject[],
  options: { wait: boolean; decided: boolean },
): Promise<Decisions> {
  const flat = flattened(subjects)
  const locked = await lockRoots(tx, plan, flat, options.wait)
  const rows = await evaluate(tx, plan, guard, flat, options.decided)
  const held = options.decided ? new Set<Subject>() : await heldWithoutRoot(tx, plan, guard, flat, rows)
  const strangers = await unexpandedMerges(tx, plan, flat)

  const decisions: Decisions = { go: [], locked: [], skipped: [] }
  for (const subject of subjects) {
    const present = subject.keys.filter((key) => rows.has(keyId(key)))
    const found = present.map((key) => rows.get(keyId(key)))
    const reason = found.find((row) => (row?.reason ?? null) !== null)?.reason ?? null
    if (present.some((key) => !locked.has(keyId(key))) || strangers.has(subject))
      decisions.locked.push(subject)
    else if (held.has(subject)) decisions.skipped.push({ subject, reason: 'held' })
    else if (reason !== null) decisions.skipped.push({ subject, reason })
    else
      decisions.go.push({
        subject,
        present,
        keptUntil: lastUntil(found.map((row) => row?.kept_until ?? null)),
      })
  }
  return decisions
}

/**
 * Why subjects must stay after all, as everything that is committed by now has it. Asked when their rows are gone in the
 * batch's transaction, beside it: inside, only the batch's own snapshot is to be seen.
 */
export async function turnedSince(
  db: Database,
  plan: DeletionPlan,
  guard: FullGuard,
  subjects: readonly Subject[],
): Promise<Map<Subject, string>> {
  if (!mayTurn(guard)) return new Map()
  const flat = flattened(subjects)
  return db.beside().transaction(async (tx) => {
    await tx.execute(`SELECT ${readingSettings(1)}`, [plan.timeZone])
    const rows = await evaluate(tx, plan, guard, flat, false)
    const turned = new Map<Subject, string>()
    for (const { subject, key } of flat) {
      const reason = rows.get(keyId(key))?.reason ?? null
      if (reason !== null && !turned.has(subject)) turned.set(subject, reason)
    }
    for (const subject of await heldWithoutRoot(tx, plan, guard, flat, rows)) turned.set(subject, 'held')
    return turned
  })
}

/**
 * SQL list that sets what a plan's conditions are read under; its parameter is the plan's time zone.
 * enable_seqscan = off: statistics of a table that just grew or was never analysed would have a whole table read for a few
 * keys. Where there is no index at all the table is read all the same.
 */
export function readingSettings(parameter: number): string {
  return `set_config('TimeZone', $${parameter}, true), set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true)`
}

function flattened(subjects: readonly Subject[]): FlatKey[] {
  return subjects.flatMap((subject) =>
    subject.keys.map((key, place): FlatKey => ({ subject, key, merged: place > 0 })),
  )
}

/** Keys (as keyId) whose row is locked now. */
async function lockRoots(
  tx: Transaction,
  plan: DeletionPlan,
  flat: readonly FlatKey[],
  wait: boolean,
): Promise<Set<string>> {
  const rows = await tx.query(
    z.object({ key: z.array(z.string()) }),
    `SELECT ${rootKeyText(plan)} AS key FROM ${rootTable(plan)} root WHERE ${rootIsGiven(plan)}
     FOR UPDATE OF root${wait ? '' : ' SKIP LOCKED'}`,
    keyArrays(
      plan,
      flat.map((entry) => entry.key),
    ),
  )
  refuseStrangers(plan, flat, rows)
  return new Set(rows.map((row) => keyId(row.key)))
}

/**
 * A row that was found by a key and says another of itself: its text was changed in this moment, to one that its column calls
 * equal. Whose it is can't be known any more, and it must not pass for a row that isn't there.
 */
function refuseStrangers(
  plan: DeletionPlan,
  flat: readonly FlatKey[],
  rows: readonly { key: readonly string[] }[],
): void {
  const known = new Set(flat.map((entry) => keyId(entry.key)))
  const strangers = rows.filter((row) => !known.has(keyId(row.key))).length
  if (strangers === 0) return
  throw new LetheError('E_ROW_UNMATCHED', {
    message: `${strangers} of ${flat.length} rows of ${tableKey(plan.root)} were found by keys of a batch and have others: their texts changed meanwhile.`,
    left: 'Nothing of the batch took effect.',
    facts: { store: plan.store, table: tableKey(plan.root), strangers },
  })
}

const evaluated = z.object({
  key: z.array(z.string()),
  reason: z.string().nullable(),
  kept_until: z.date().nullable(),
})

/** What the conditions say about each root row that is there, by keyId. */
async function evaluate(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
  flat: readonly FlatKey[],
  decided: boolean,
): Promise<Map<string, z.infer<typeof evaluated>>> {
  const width = plan.key.length
  const merged = `(${rootIsGiven(plan, width + 1)})`
  const move = (sql: string) => shiftParameters(sql, 2 * width)
  const reason = decided
    ? 'NULL::text'
    : `CASE WHEN NOT ${merged} AND (${mergedCondition(plan)}) THEN 'merged'
        ELSE coalesce(${move(firstReason(guard))}, CASE WHEN ${merged} OR (${move(guard.due)}) THEN NULL ELSE 'not-due' END) END`
  const until =
    plan.keptUntil === null || plan.keptCondition === null
      ? 'NULL::timestamptz'
      : `CASE WHEN (${plan.keptCondition}) THEN (${plan.keptUntil})::timestamptz END`
  const keys = (some: readonly FlatKey[]) =>
    keyArrays(
      plan,
      some.map((entry) => entry.key),
    )
  const rows = await tx.query(
    evaluated,
    plannedOnce(
      flat,
      `SELECT ${rootKeyText(plan)} AS key, ${reason} AS reason, ${until} AS kept_until
       FROM ${rootTable(plan)} root WHERE ${rootIsGiven(plan)}`,
    ),
    [...keys(flat), ...(decided ? [] : [...keys(flat.filter((entry) => entry.merged)), ...guard.values])],
  )
  refuseStrangers(plan, flat, rows)
  return new Map(rows.map((row) => [keyId(row.key), row]))
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
  rows: ReadonlyMap<string, unknown>,
): Promise<Set<Subject>> {
  const gone = flat.filter((entry) => !rows.has(keyId(entry.key)))
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
