/**
 * Removes a set of subjects, and where one of them can't go, finds it by halving the set, so that the others do. All in
 * the batch's transaction: each attempt stands behind a savepoint, whose rollback also gives its row locks back. The
 * snapshot stays the same throughout, so a subject whose rows another session changed is locked for this transaction, and
 * can go in the next.
 */
import { monotonicMs } from '../../../base/clock/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import { isOfOneRow, refuserOf, type Database, type Transaction } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { turnedSince, type Candidate } from './candidates.ts'
import type { FullGuard } from './guard.ts'
import { keyId } from './root-sql.ts'
import { addTotals, noTotals, runSteps, type StepTotals } from './steps.ts'
import { locateRows } from './verify.ts'

/** Of one statement, once another of the same batch has taken too long. */
const SEARCH_TIMEOUT_MS = 5_000

export interface SearchResult {
  totals: StepTotals
  done: Candidate[]
  turned: { candidate: Candidate; reason: string }[]
  locked: Candidate[]
  blocked: { candidate: Candidate; constraint: string }[]
  deferred: Candidate[]
  /** Of the locked, at least one was changed by another session since the snapshot: a new one would see it. */
  changed: boolean
}

/** The batch's transaction, and the database for what must be asked outside it. */
export interface Place {
  tx: Transaction
  db: Database
}

/**
 * `guard` null: the decision is final. Past `untilMs` (monotonic) at least one subject is still decided, the rest is
 * deferred: a search must not hold the locks of a whole batch for as long as it likes.
 */
export async function searchSubjects(
  place: Place,
  plan: DeletionPlan,
  guard: FullGuard | null,
  candidates: readonly Candidate[],
  limits: { untilMs: number },
): Promise<SearchResult> {
  const result: SearchResult = {
    totals: noTotals(),
    done: [],
    turned: [],
    locked: [],
    blocked: [],
    deferred: [],
    changed: false,
  }
  const open: (readonly Candidate[])[] = candidates.length === 0 ? [] : [candidates]
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (decidedAny(result) && monotonicMs() > limits.untilMs) {
      result.deferred.push(...part)
      continue
    }
    const attempt = await tryPart(place, plan, guard, part)
    if (attempt.kind === 'done') {
      result.done.push(...part)
      merge(result.totals, attempt.totals)
    } else if (attempt.kind === 'kept-back') {
      for (const candidate of attempt.candidates)
        result.blocked.push({ candidate, constraint: 'root-not-removed' })
      const rest = part.filter((candidate) => !attempt.candidates.includes(candidate))
      if (rest.length > 0) open.push(rest)
    } else if (attempt.kind === 'turned') {
      result.turned.push(...attempt.turned)
      const rest = part.filter((one) => attempt.turned.every(({ candidate }) => candidate !== one))
      if (rest.length > 0) open.push(rest)
    } else if (part.length > 1) {
      const half = Math.ceil(part.length / 2)
      open.push(part.slice(half), part.slice(0, half))
    } else {
      const [candidate] = part
      if (candidate === undefined) continue
      const changed =
        attempt.kind === 'changed' || (attempt.kind === 'blocked' && (await outgrown(place, plan, candidate)))
      result.changed ||= changed
      if (changed || attempt.kind !== 'blocked') result.locked.push(candidate)
      else result.blocked.push({ candidate, constraint: attempt.constraint })
    }
  }
  return result
}

export type Refusal = { kind: 'locked' } | { kind: 'changed' } | { kind: 'blocked'; constraint: string }

type Attempt =
  | { kind: 'done'; totals: StepTotals }
  | Refusal
  /** Root rows that were there under our lock and that the root's statement did not take: a trigger or rule swallowed it. */
  | { kind: 'kept-back'; candidates: Candidate[] }
  /** Their guard speaks against it by what was committed since the snapshot. */
  | { kind: 'turned'; turned: { candidate: Candidate; reason: string }[] }

async function tryPart(
  { tx, db }: Place,
  plan: DeletionPlan,
  guard: FullGuard | null,
  part: readonly Candidate[],
): Promise<Attempt> {
  await tx.execute('SAVEPOINT lethe_part')
  try {
    const totals = await runSteps(
      tx,
      plan,
      part.flatMap((candidate) => candidate.subject.keys),
    )
    const touched = new Set([...totals.deletedRoots, ...totals.keptRoots].map(keyId))
    const keptBack = part.filter((candidate) => candidate.present.some((key) => !touched.has(keyId(key))))
    if (keptBack.length > 0) {
      await tx.execute('ROLLBACK TO SAVEPOINT lethe_part')
      return { kind: 'kept-back', candidates: keptBack }
    }
    // A deferred key that doesn't hold must fail here, where its subject can still be found, not at COMMIT.
    await tx.execute('SET CONSTRAINTS ALL IMMEDIATE')
    const turned = guard === null ? [] : await turnedAmong(db, plan, guard, part)
    if (turned.length > 0) {
      await tx.execute('ROLLBACK TO SAVEPOINT lethe_part')
      return { kind: 'turned', turned }
    }
    await tx.execute('RELEASE SAVEPOINT lethe_part')
    return { kind: 'done', totals }
  } catch (error) {
    const refusal = subjectRefusal(error)
    if (refusal === null) throw error
    await tx.execute('ROLLBACK TO SAVEPOINT lethe_part')
    // a search for the one that takes so long must not take as long at each half
    if (error instanceof LetheError && error.code === 'E_STATEMENT_TIMEOUT')
      await tx.execute(`SELECT set_config('statement_timeout', $1, true)`, [String(SEARCH_TIMEOUT_MS)])
    return refusal
  }
}

/** What may be one subject's fault: a lock, another session's change, and all but the server's own faults (`isOfOneRow`). */
export function subjectRefusal(error: unknown): Refusal | null {
  if (!(error instanceof LetheError)) return null
  if (isChanged(error)) return { kind: 'changed' }
  if (error.code === 'E_LOCK_TIMEOUT' || error.facts['sqlstate'] === '40P01') return { kind: 'locked' }
  return isOfOneRow(error) ? { kind: 'blocked', constraint: refuserOf(error) } : null
}

/** A row that the statement has to change was changed by another session since the transaction's snapshot. */
export function isChanged(error: unknown): boolean {
  return error instanceof LetheError && error.facts['sqlstate'] === '40001'
}

/** Of candidates whose rows are gone in this transaction: those that must stay after all. */
export async function turnedAmong(
  db: Database,
  plan: DeletionPlan,
  guard: FullGuard,
  candidates: readonly Candidate[],
): Promise<{ candidate: Candidate; reason: string }[]> {
  const subjects = candidates.map(({ subject }) => subject)
  const turned = await turnedSince(db, plan, guard, subjects)
  return candidates.flatMap((candidate) => {
    const reason = turned.get(candidate.subject)
    return reason === undefined ? [] : [{ candidate, reason }]
  })
}

/**
 * A foreign key may refuse for the sake of a row of the subject's own that was added since the snapshot: checks of foreign
 * keys look past it. Then the subject has another number of rows outside.
 */
async function outgrown({ tx, db }: Place, plan: DeletionPlan, candidate: Candidate): Promise<boolean> {
  const { keys } = candidate.subject
  const [seen, now] = await Promise.all([locateRows(tx, plan, keys), locateRows(db.beside(), plan, keys)])
  const places = new Set([...Object.keys(seen), ...Object.keys(now)])
  return [...places].some((place) => seen[place] !== now[place])
}

function decidedAny(result: SearchResult): boolean {
  return result.done.length + result.turned.length + result.locked.length + result.blocked.length > 0
}

function merge(into: StepTotals, from: StepTotals): void {
  addTotals(into, from)
  into.deletedRoots.push(...from.deletedRoots)
  into.keptRoots.push(...from.keptRoots)
}
