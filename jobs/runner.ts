/**
 * Runs one job from the queue: claims the run, does its steps until it is done, waits, is paused, was cancelled, has had
 * its slot long enough or must stop, and leaves the record in a state from which any worker goes on.
 */
import { monotonicMs } from '../lib/base/clock/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import {
  claimRun,
  failAttempt,
  finishRun,
  getRun,
  giveBackRun,
  pauseRun,
  renewLease,
  waitRun,
  type Run,
} from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import type { Context } from './context.ts'
import type { JobKind, Registry, StepResult } from './kind.ts'

/** What became of the job, for the caller's log and tests; `idle`: there was nothing to do. */
export type RunEnd = 'idle' | 'fenced' | Run['state']

/**
 * Never throws because a job failed: the ledger has it. Throws only where the ledger itself can't be reached, and then
 * the lease ends by itself and another worker goes on.
 */
export async function runJob(
  context: Context,
  registry: Registry,
  job: { runId: string; generation: number },
  signal: AbortSignal,
): Promise<RunEnd> {
  const { lease_seconds: leaseSeconds } = context.config.file.operations
  const run = await claimRun(context.control, { ...job, holder: context.workerId, leaseSeconds })
  if (run === null) return 'idle'
  const log = context.log.child({ run: run.id, kind: run.kind, fence: run.fence.toString() })
  log.info({ attempt: run.attempt }, 'run claimed')
  const lease = keepLease(context, run, signal)
  try {
    const ended = await attempt(context, registry, run, lease.signal)
    log.info({ state: ended.state, outcome: ended.outcome }, 'run left')
    return note(context, ended)
  } catch (error) {
    if (isFenced(error)) {
      log.warn('run was taken over; this worker wrote nothing more')
      return 'fenced'
    }
    throw error
  } finally {
    lease.stop()
  }
}

/** Steps until something ends the claim; an error of a step uses one attempt, an interruption none. */
async function attempt(context: Context, registry: Registry, run: Run, signal: AbortSignal): Promise<Run> {
  try {
    return await work(context, registry.get(run.kind), run, signal)
  } catch (error) {
    if (isFenced(error)) throw error
    if (signal.aborted) {
      // A lost lease aborts too; then this give-back carries an old fence, or the run is still ours and goes back.
      return giveBackRun(context.control, run, 'interrupted')
    }
    context.log.error({ run: run.id, kind: run.kind, error: errorFields(error) }, 'step failed')
    return failAttempt(context.control, run, error)
  }
}

async function work(context: Context, kind: JobKind, claimed: Run, signal: AbortSignal): Promise<Run> {
  const slotMs = context.config.file.operations.give_back_seconds * 1000
  const start = monotonicMs()
  const { control } = context
  checkPayload(kind, claimed)
  let run = claimed
  let divisible = true
  for (;;) {
    if (signal.aborted) return giveBackRun(control, run, 'interrupted')
    if (divisible && run.request === 'pause') return pauseRun(control, run)
    const windingUp: boolean = divisible && run.request === 'cancel'
    const result: StepResult = windingUp
      ? await (kind.windUp?.(context, run, signal) ?? nothingToTidy)
      : await kind.step(context, run, signal)
    if (result.kind !== 'more') return end(context, run, result, windingUp)
    divisible = result.indivisible !== true
    if (monotonicMs() - start >= slotMs) return giveBackRun(control, run, 'slot-time')
    run = await ownRun(context, run)
  }
}

const nothingToTidy: StepResult = { kind: 'done', outcome: 'cancelled' }

async function end(
  context: Context,
  run: Run,
  result: Exclude<StepResult, { kind: 'more' }>,
  windingUp: boolean,
): Promise<Run> {
  if (result.kind === 'wait') return waitRun(context.control, run, { for: result.for, until: result.until })
  if (result.kind === 'paused') return pauseRun(context.control, run, 'by-itself')
  const state = windingUp ? 'cancelled' : (result.state ?? 'succeeded')
  return finishRun(context.control, run, state, { outcome: result.outcome })
}

/** The run as it is now, with what was asked of it meanwhile. Throws E_FENCED once it isn't ours any more. */
async function ownRun(context: Context, run: Run): Promise<Run> {
  const now = await getRun(context.control, run.id)
  if (now.fence === run.fence && now.state === 'running') return now
  throw new LetheError('E_FENCED', {
    message: `Run ${run.id}: another worker holds it now.`,
    facts: { run: run.id },
  })
}

function checkPayload(kind: JobKind, run: Run): void {
  const parsed = kind.payload.safeParse(run.payload)
  if (parsed.success) return
  const paths = parsed.error.issues.map((issue) => issue.path.join('.') || '(payload)')
  throw new LetheError('E_PAYLOAD', {
    message: `Run ${run.id}: its payload doesn't fit kind ${run.kind} (${paths.join(', ')}).`,
    facts: { run: run.id, paths },
  })
}

/**
 * Renews at a third of the lease. Two renewals may fail before the lease ends; once it has ended by this process's own
 * clock, or another worker holds the run, the signal aborts. The fence stays the real guard: a process that was stopped
 * for an hour renews nothing and aborts late, but can't write.
 */
function keepLease(context: Context, run: Run, outer: AbortSignal): { signal: AbortSignal; stop(): void } {
  const seconds = context.config.file.operations.lease_seconds
  const own = new AbortController()
  let renewedAt = monotonicMs()
  let renewing: Promise<void> | null = null
  const renew = async () => {
    const asked = monotonicMs()
    try {
      if (await renewLease(context.control, run.id, run.fence, seconds)) renewedAt = asked
      else own.abort(new LetheError('E_FENCED', { message: `Run ${run.id}: the lease is lost.` }))
    } catch (error) {
      context.log.warn({ run: run.id, error: errorFields(error) }, 'lease not renewed')
      if (monotonicMs() - renewedAt >= seconds * 1000) own.abort(error)
    } finally {
      renewing = null
    }
  }
  const timer = setInterval(
    () => {
      renewing ??= renew()
    },
    (seconds * 1000) / 3,
  )
  return { signal: AbortSignal.any([outer, own.signal]), stop: () => clearInterval(timer) }
}

function note(context: Context, run: Run): Run['state'] {
  if (run.finishedAt !== null) context.metrics.runsTotal.inc({ kind: run.kind, outcome: run.state })
  return run.state
}

function isFenced(error: unknown): boolean {
  return error instanceof LetheError && error.code === 'E_FENCED'
}
