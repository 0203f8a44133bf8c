/**
 * Removes a set of subjects, and where one of them can't go, finds it by halving the set, so that the others do. All in
 * the batch's transaction: each attempt stands behind a savepoint, whose rollback also gives its row locks back.
 */
import { monotonicMs } from '../../../base/clock/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import { isOfOneRow, refuserOf, type Transaction } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { decide, type Candidate } from './candidates.ts'
import type { FullGuard } from './guard.ts'
import { keyId } from './root-sql.ts'
import { addTotals, noTotals, runSteps, type StepTotals } from './steps.ts'

/** Of one statement, once another of the same batch has taken too long. */
const SEARCH_TIMEOUT_MS = 5_000

export interface SearchResult {
  totals: StepTotals
  done: Candidate[]
  turned: { candidate: Candidate; reason: string }[]
  locked: Candidate[]
  blocked: { candidate: Candidate; constraint: string }[]
  deferred: Candidate[]
}

/**
 * `guard` null: the decision is final. Past `untilMs` (monotonic) at least one subject is still decided, the rest is
 * deferred: a search must not hold the locks of a whole batch for as long as it likes.
 */
export async function searchSubjects(
  tx: Transaction,
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
  }
  const open: (readonly Candidate[])[] = candidates.length === 0 ? [] : [candidates]
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (decidedAny(result) && monotonicMs() > limits.untilMs) {
      result.deferred.push(...part)
      continue
    }
    const attempt = await tryPart(tx, plan, guard, part)
    if (attempt.kind === 'done') {
      result.done.push(...part)
      merge(result.totals, attempt.totals)
    } else if (attempt.kind === 'kept-back') {
      await settleKeptBack(tx, plan, guard, attempt.candidates, result)
      const rest = part.filter((candidate) => !attempt.candidates.includes(candidate))
      if (rest.length > 0) open.push(rest)
    } else if (part.length > 1) {
      const half = Math.ceil(part.length / 2)
      open.push(part.slice(half), part.slice(0, half))
    } else {
      const [candidate] = part
      if (candidate === undefined) continue
      if (attempt.kind === 'locked') result.locked.push(candidate)
      else result.blocked.push({ candidate, constraint: attempt.constraint })
    }
  }
  return result
}

type Attempt =
  | { kind: 'done'; totals: StepTotals }
  | { kind: 'locked' }
  | { kind: 'blocked'; constraint: string }
  /** Root rows that were there under our lock and that the root's statement did not take. */
  | { kind: 'kept-back'; candidates: Candidate[] }

async function tryPart(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard | null,
  part: readonly Candidate[],
): Promise<Attempt> {
  await tx.execute('SAVEPOINT lethe_part')
  try {
    const totals = await runSteps(tx, plan, guard, {
      keys: part.flatMap((candidate) => candidate.subject.keys),
      merged: part.flatMap((candidate) => candidate.subject.keys.slice(1)),
    })
    const touched = new Set([...totals.deletedRoots, ...totals.keptRoots].map(keyId))
    const keptBack = part.filter((candidate) => candidate.present.some((key) => !touched.has(keyId(key))))
    if (keptBack.length > 0) {
      await tx.execute('ROLLBACK TO SAVEPOINT lethe_part')
      return { kind: 'kept-back', candidates: keptBack }
    }
    // A deferred key that doesn't hold must fail here, where its subject can still be found, not at COMMIT.
    await tx.execute('SET CONSTRAINTS ALL IMMEDIATE')
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

/** What may be one subject's fault: a lock, and all but the server's own faults (`isOfOneRow`). */
export function subjectRefusal(
  error: unknown,
): { kind: 'locked' } | { kind: 'blocked'; constraint: string } | null {
  if (!(error instanceof LetheError)) return null
  if (error.code === 'E_LOCK_TIMEOUT' || error.facts['sqlstate'] === '40P01') return { kind: 'locked' }
  return isOfOneRow(error) ? { kind: 'blocked', constraint: refuserOf(error) } : null
}

/** Asked again why: the guard has turned since the locks were taken, or a trigger or rule swallowed the statement. */
async function settleKeptBack(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard | null,
  candidates: readonly Candidate[],
  result: SearchResult,
): Promise<void> {
  const swallowed = (candidate: Candidate) =>
    result.blocked.push({ candidate, constraint: 'root-not-removed' })
  if (guard === null) {
    candidates.forEach(swallowed)
    return
  }
  const subjects = candidates.map((candidate) => candidate.subject)
  const decisions = await decide(tx, plan, guard, subjects, { wait: false, decided: false })
  for (const candidate of candidates) {
    const turned = decisions.skipped.find((entry) => entry.subject === candidate.subject)
    if (turned !== undefined) result.turned.push({ candidate, reason: turned.reason })
    else if (decisions.locked.includes(candidate.subject)) result.locked.push(candidate)
    else swallowed(candidate)
  }
}

function decidedAny(result: SearchResult): boolean {
  return result.done.length + result.turned.length + result.locked.length + result.blocked.length > 0
}

function merge(into: StepTotals, from: StepTotals): void {
  addTotals(into, from)
  into.deletedRoots.push(...from.deletedRoots)
  into.keptRoots.push(...from.keptRoots)
}
