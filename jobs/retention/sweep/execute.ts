/**
 * Executes an approved proposal, some batches at a time. What goes is what was approved: the population's keys, each
 * looked at again under its lock. The ledger's entry for a subject is durable before its batch begins; entries of
 * subjects that stayed are voided.
 */
import { monotonicMs, sleep } from '../../../lib/base/clock/index.ts'
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import { total } from '../../../lib/base/counts/index.ts'
import type { Database } from '../../../lib/base/db/index.ts'
import {
  batchesAfter,
  batchSize,
  drainPopulation,
  raiseFence,
  readProgress,
  startThrottle,
  type BatchOutcome,
  type BatchSize,
  type Pass,
} from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { ensureHolds, refuseHoldsBehind } from '../../../lib/record/holds/index.ts'
import {
  copyBatches,
  getRun,
  lastBatchCopied,
  type Claim,
  type Run,
} from '../../../lib/record/ledger/index.ts'
import type { Proposal } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { openLedger } from '../../erasure-ledger.ts'
import { leaving } from './ledger.ts'
import type { DeletionPlan } from '../../../lib/data/deletion/index.ts'
import { guardFor } from '../rules.ts'

/** A step ends after this long, so that its counters are seen and the run's record is never far behind. */
const STEP_MS = 4_000
/** A longer wait gives the slot back. */
const LONGEST_WAIT_MS = 10_000
/** New rows of approved subjects that are no reason to stop, however small the proposal. */
const GROWTH_FLOOR = 100

export interface Work {
  context: Context
  /** Whose record it is. */
  run: Run
  /** Who writes it: the run itself, or the sweep that settles for one that was lost. */
  claim: Claim
  policy: ResolvedPolicy
  plan: DeletionPlan
  proposal: Proposal
  target: Database
  signal: AbortSignal
}

export interface Executed {
  /** The pass has nothing left that it can do. */
  finished: boolean
  /** Counters of all the run's batches so far, by name. */
  counters: Record<string, number>
  /** Seconds waited in this step, by reason. */
  throttled: Record<string, number>
  /** What held the work back when the step ended, and for how long at least; null: nothing. */
  heldBack: { reason: string; waitMs: number } | null
  /** A subject is half removed: a pause or cancel waits until it is whole gone. */
  indivisible: boolean
}

/** Throws E_FENCED, E_GROWTH, what the ledger and a batch throw; what was committed before stands and is recorded. */
export async function executeSome(work: Work, pass: Pass, onlyBegun = false): Promise<Executed> {
  const { context, run, target, plan, proposal, policy, signal } = work
  await raiseFence(target, run.id, run.fence)
  const inForce = async () => ensureHolds(context.control, context.keystore, plan.store, target)
  await inForce()
  const ledger = openLedger(context)
  const { throttle: pace } = policy
  const throttle = await startThrottle(target, pace, policy.window ?? null)
  const until = monotonicMs() + STEP_MS
  const done: Executed = { finished: false, counters: {}, throttled: {}, heldBack: null, indivisible: false }
  let gone = goneRows((await readProgress(target, run.id))?.counters ?? {})
  // a run that goes on after it stopped for growth stops again before it removes more
  if (pass !== 'heavy') checkGrowth(work, gone)
  try {
    const steps = drainPopulation(target, plan, {
      runId: run.id,
      fence: run.fence,
      proposalId: proposal.id,
      guard: guardFor(policy, plan, proposal.cutoff.toISOString()),
      pseudonymKey: context.keystore.pseudonymKey(plan.store),
      targetMs: pace.target_ms,
      maxRows: pace.max_rows,
      pass,
      wait: pass === 'locked',
      // who sets a ceiling wants the sweep small: not two busy backends in turns
      alone: pace.rows_per_second !== undefined,
      onlyBegun,
      throttle,
      size: sizeOf(run.id, pace),
      hooks: {
        beforeDestruction: (keys) => ledger.enter(work.claim, leaving(work, keys)),
        lastLook: (beside) => refuseHoldsBehind(context.control, plan.store, beside),
      },
    })
    done.finished = true
    for await (const step of steps) {
      if (step.kind === 'throttled') {
        if (!(await waitOut(work, step, until, done))) {
          done.finished = false
          break
        }
        continue
      }
      await ledger.withdraw(work.claim, leaving(work, step.outcome.notErased))
      gone += goneNow(step.outcome)
      done.indivisible = step.outcome.more
      observe(work, step.outcome)
      if (!done.indivisible) checkGrowth(work, gone)
      if (signal.aborted || monotonicMs() >= until || (!done.indivisible && (await isAsked(work)))) {
        done.finished = false
        break
      }
    }
    // the next step may be a night away
    await ledger.catchUp()
  } catch (error) {
    // a hold that was added meanwhile; where it can't be projected now, the step fails, and is tried again
    if (!(error instanceof LetheError) || error.code !== 'E_HOLDS_BEHIND') throw error
    await inForce()
    done.finished = false
  } finally {
    ledger.close()
    await throttle.close()
    done.counters = await copyNewBatches(work)
  }
  return done
}

/** True: waited, go on. False: the wait is too long to keep the slot, the step is over, or someone asks to stop. */
async function waitOut(
  work: Work,
  held: { reason: string; waitMs: number },
  until: number,
  done: Executed,
): Promise<boolean> {
  if (
    work.signal.aborted ||
    held.waitMs > LONGEST_WAIT_MS ||
    monotonicMs() >= until ||
    (await isAsked(work))
  ) {
    done.heldBack = held
    return false
  }
  const start = monotonicMs()
  await sleep(held.waitMs, work.signal).catch(() => undefined)
  const seconds = (monotonicMs() - start) / 1000
  done.throttled[held.reason] = (done.throttled[held.reason] ?? 0) + seconds
  work.context.metrics.throttledSecondsTotal.inc({ reason: held.reason }, seconds)
  return true
}

/** What a run has learnt about batch sizes, while this process has it: the next step doesn't start small again. */
const sizes = new Map<string, BatchSize>()

function sizeOf(runId: string, pace: ResolvedPolicy['throttle']): BatchSize {
  const known = sizes.get(runId)
  if (known !== undefined) return known
  const made = batchSize({ targetMs: pace.target_ms, maxRows: pace.max_rows })
  // one run at a time is what a worker has
  sizes.clear()
  sizes.set(runId, made)
  return made
}

async function isAsked(work: Work): Promise<boolean> {
  return (await getRun(work.context.control, work.run.id)).request !== null
}

function observe({ context, policy }: Work, outcome: BatchOutcome): void {
  context.metrics.rowsRemovedTotal.inc({ policy: policy.name }, outcome.rows)
  context.metrics.batchSeconds.observe(outcome.durationMs / 1000)
}

function checkGrowth({ proposal, policy, run }: Work, gone: number): void {
  const approved = total(proposal.rows)
  if (gone <= approved + Math.max(GROWTH_FLOOR, approved * policy.growth_tolerance)) return
  throw new LetheError('E_GROWTH', {
    message: `Proposal ${proposal.id} was approved for ${approved} rows; ${gone} are gone already, over the tolerance of ${policy.growth_tolerance}.`,
    left: 'What was removed is recorded; the rest of the population was not touched.',
    next: `Look at what grew (lethe runs show ${run.id}), then make a new proposal: lethe retention run ${policy.name}.`,
    facts: { proposal: proposal.id, approved, gone },
  })
}

type Copying = Pick<Work, 'context' | 'run' | 'claim' | 'target' | 'plan'>

/**
 * Before a record is closed without executing: no batch of an earlier claim can commit any more, and those that did are in
 * the ledger.
 */
export async function catchUp(work: Copying, fence = work.claim.fence): Promise<void> {
  await raiseFence(work.target, work.run.id, fence)
  await copyNewBatches(work)
}

/** What the target recorded and the ledger hasn't yet. Idempotent: also the first thing after a takeover. */
export async function copyNewBatches({
  context,
  run,
  claim,
  target,
  plan,
}: Copying): Promise<Record<string, number>> {
  let last = await lastBatchCopied(context.control, run.id)
  for (;;) {
    const batches = await batchesAfter(target, run.id, last)
    const counters = await copyBatches(context.control, claim, plan.store, batches, run.id)
    const newest = batches.at(-1)
    if (newest === undefined) return counters
    last = newest.number
  }
}

/** Rows removed or pseudonymised, from a run's counters. A detached row is also counted when it goes. */
function goneRows(counters: Readonly<Record<string, number>>): number {
  return total(
    Object.fromEntries(Object.entries(counters).filter(([name]) => /^(removed|pseudonymised)\./.test(name))),
  )
}

function goneNow(outcome: BatchOutcome): number {
  return total(outcome.removed) + total(outcome.pseudonymised)
}
