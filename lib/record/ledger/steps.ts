/** What the holder of a claim writes: steps, and each way a claim can end. All of it is refused with an old fence. */
import { prepared, type Database, type Queryable, type Transaction } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { eventsJson, eventsSql, type NewEvent } from '../evidence/index.ts'
import { dueNow, fenced, moveClaimed, noLease } from './move.ts'
import { getRun, runColumns, runRow, type Claim, type Run } from './run.ts'

export interface NewStep {
  name: string
  /** A sentence for `runs show`; no personal data. */
  note?: string
  /** Totals by name, not increments: each replaces the run's counter of that name, so a step done twice counts once. */
  counters?: Record<string, number>
  /** Where the next step starts; replaces the run's cursor. */
  cursor?: Record<string, unknown>
  events?: readonly NewEvent[]
  /** Whether the run came further. Default: a counter or the cursor has changed. */
  progress?: boolean
  /** By the control database's clock (`databaseNow`), or the end of the last step. */
  startedAt?: Date
}

/**
 * One transaction: fence check, step, counters, cursor, events, and whatever `inTransaction` adds. Throws E_FENCED.
 * Returns the run with a pending `request`, if there is one. A step that made progress gives every attempt back: only a
 * run that fails again and again at the same place uses them up.
 */
export async function recordStep(
  control: Database,
  run: Claim,
  step: NewStep,
  inTransaction?: (tx: Transaction) => Promise<void>,
): Promise<Run> {
  if (inTransaction === undefined) return writeStep(control, run, step)
  return control.transaction(async (tx) => {
    // First the run's row: it is the lock under which everything else of this step is written.
    const written = await writeStep(tx, run, step)
    await inTransaction(tx)
    return written
  })
}

async function writeStep(db: Queryable, run: Claim, step: NewStep): Promise<Run> {
  const [written] = await db.query(
    runRow,
    prepared(`WITH was AS (
       SELECT id AS was_id, coalesce($9, counters || $3::jsonb <> counters OR coalesce($4::jsonb, cursor) <> cursor) AS further
       FROM lethe_control.runs WHERE id = $1 AND fence = $2 AND state = 'running' FOR UPDATE
     ), held AS (
       UPDATE lethe_control.runs
       SET counters = counters || $3::jsonb, cursor = coalesce($4::jsonb, cursor), updated_at = clock_timestamp(),
         attempt = CASE WHEN was.further THEN 0 ELSE attempt END
       FROM was WHERE id = was.was_id
       RETURNING ${runColumns}
     ), stepped AS (
       INSERT INTO lethe_control.steps (run_id, number, name, fence, attempt, note, counters, started_at, progress)
       SELECT held.id, coalesce(last.number, 0) + 1, $5, held.fence, held.attempt, $6, $3::jsonb,
         coalesce($7, last.finished_at, held.started_at, held.created_at), was.further
       FROM held CROSS JOIN was LEFT JOIN LATERAL (
         SELECT number, finished_at FROM lethe_control.steps WHERE run_id = held.id ORDER BY number DESC LIMIT 1
       ) AS last ON true
     ), noted AS (
       ${eventsSql('held', '$8')}
     )
     SELECT * FROM held`),
    [
      run.id,
      run.fence.toString(),
      JSON.stringify(step.counters ?? {}),
      step.cursor === undefined ? null : JSON.stringify(step.cursor),
      step.name,
      step.note ?? null,
      step.startedAt ?? null,
      eventsJson(step.events ?? []),
      step.progress ?? null,
    ],
  )
  if (written === undefined) throw fenced(run)
  return written
}

export type FinalState = 'succeeded' | 'failed' | 'cancelled' | 'refused'
const verbs = { succeeded: 'succeed', failed: 'fail', cancelled: 'cancel', refused: 'refuse' } as const

/** Ends the run. `outcome` is one word for lists ("executed", "nothing-due"). Throws E_FENCED. */
export async function finishRun(
  control: Queryable,
  run: Claim,
  state: FinalState,
  end: { outcome: string; errorCode?: string; errorMessage?: string; events?: readonly NewEvent[] },
): Promise<Run> {
  const code = end.errorCode === undefined ? {} : { code: end.errorCode }
  const last: NewEvent =
    state === 'succeeded' || state === 'cancelled'
      ? { type: `run.${state}`, data: { outcome: end.outcome } }
      : { type: `run.${state}`, data: { outcome: end.outcome, ...code } }
  return moveClaimed(control, verbs[state], run, {
    set: `${noLease}, request = NULL, finished_at = clock_timestamp(), outcome = $5, error_code = $6, error_message = $7`,
    values: [end.outcome, end.errorCode ?? null, end.errorMessage ?? null],
    events: [...(end.events ?? []), last],
  })
}

/** The run waits for a person (`until` absent or null) or for an instant, without a slot. Throws E_FENCED. */
export async function waitRun(
  control: Queryable,
  run: Claim,
  wait: { for: string; until?: Date | null; events?: readonly NewEvent[] },
): Promise<Run> {
  const until = wait.until ?? null
  return moveClaimed(control, 'wait', run, {
    set: `${noLease}, waiting_for = $5, next_attempt_at = coalesce($6::timestamptz, 'infinity'), enqueued_at = NULL`,
    values: [wait.for, until],
    events: [
      ...(wait.events ?? []),
      { type: 'run.waiting', data: { for: wait.for, until: until?.toISOString() ?? null } },
    ],
  })
}

/** The holder obeys a pause, or pauses the run itself and says why in one word. Throws E_FENCED. */
export async function pauseRun(control: Queryable, run: Claim, reason?: string): Promise<Run> {
  return moveClaimed(control, 'pause', run, {
    set: `${noLease}, request = NULL, waiting_for = $5`,
    values: [reason ?? null],
    events: [{ type: 'run.paused', data: reason === undefined ? {} : { reason } }],
  })
}

/** Queued again at once; no attempt is used. For a graceful stop, and for a run that has had its slot long enough. */
export async function giveBackRun(control: Queryable, run: Claim, reason: string): Promise<Run> {
  return moveClaimed(control, 'give-back', run, {
    set: `${noLease}, ${dueNow}`,
    events: [{ type: 'run.given-back', data: { reason } }],
  })
}

/** First wait after a failure; it doubles with each attempt, up to the longest, times 0.5 to 1.5 so that runs don't return together. */
const BACKOFF_SECONDS = 5
const LONGEST_BACKOFF_SECONDS = 900

/**
 * Uses one attempt. Queued again after a backoff; failed where the error is not retryable or the attempts are used up;
 * refused where the error is a refusal (exit codes 12 and 13). An error that is not Lethe's own leaves no message: it
 * might hold a value. Throws E_FENCED.
 */
export async function failAttempt(control: Queryable, run: Claim, error: unknown): Promise<Run> {
  const failure = describe(error)
  // steps since the claim may have given attempts back; nobody but the claim's holder changes them
  const { attempt: used, maxAttempts } = await getRun(control, run.id)
  const attempt = used + 1
  if (failure.exitCode === 12 || failure.exitCode === 13)
    return finishRun(control, run, 'refused', { outcome: 'refused', ...failure })
  const failed = {
    type: 'run.attempt-failed',
    data: { attempt, code: failure.errorCode, retryInSeconds: 0 },
  } as const
  const values = [failure.errorCode, failure.errorMessage]
  if (!failure.retryable || attempt >= maxAttempts)
    return moveClaimed(control, 'fail', run, {
      set: `${noLease}, request = NULL, attempt = attempt + 1, finished_at = clock_timestamp(), outcome = 'failed',
        error_code = $5, error_message = $6`,
      values,
      events: [failed, { type: 'run.failed', data: { outcome: 'failed', code: failure.errorCode } }],
    })
  const seconds = Math.min(BACKOFF_SECONDS * 2 ** used, LONGEST_BACKOFF_SECONDS)
  return moveClaimed(control, 'retry', run, {
    set: `${noLease}, attempt = attempt + 1, enqueued_at = NULL, error_code = $5, error_message = $6,
      next_attempt_at = clock_timestamp() + $7 * (0.5 + random()) * interval '1 second'`,
    values: [...values, seconds],
    events: [{ ...failed, data: { ...failed.data, retryInSeconds: seconds } }],
  })
}

function describe(error: unknown): {
  errorCode: string
  errorMessage: string
  exitCode: number
  retryable: boolean
} {
  if (error instanceof LetheError)
    return {
      errorCode: error.code,
      errorMessage: error.message,
      exitCode: error.exitCode,
      retryable: error.retryable,
    }
  return {
    errorCode: 'E_INTERNAL',
    errorMessage: `An unexpected ${error instanceof Error ? error.name : 'error'} was raised; the log has the place.`,
    exitCode: 1,
    retryable: true,
  }
}
