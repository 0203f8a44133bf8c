/** What people and the dispatcher ask of runs that someone else may be working on. */
import { z } from 'zod'
import type { Database, Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { appendEvent } from '../evidence/index.ts'
import { dueNow, illegal, move } from './move.ts'
import { runColumns, runRow, type Run } from './run.ts'

export type Request = 'pause' | 'cancel' | 'resume'

/**
 * Asks a run to pause, resume or cancel; idempotent. A running one carries the request until its holder sees it, within
 * one step. A cancelled run that had started goes back to the queue with the request, so that its job kind can finish
 * the subject in hand and tidy up; one that never started ends at once. Throws E_NOT_FOUND, E_ILLEGAL_TRANSITION.
 */
export async function requestRun(
  control: Database,
  id: string,
  request: Request,
  actor: string,
): Promise<Run> {
  return control.transaction(
    async (tx) => {
      const run = await lockRun(tx, id)
      if (run.state === 'running') return requestRunning(tx, run, request, actor)
      if (request === 'pause') return pauseIdle(tx, run, actor)
      if (request === 'resume') return resumeIdle(tx, run, actor)
      return cancelIdle(tx, run, actor)
    },
    { retry: true },
  )
}

/** A waiting run whose reason has come is queued again. False: it was not waiting (paused runs stay paused). */
export async function wakeRun(control: Queryable, id: string): Promise<boolean> {
  const run = await move(control, 'wake', { id }, { set: dueNow, events: [{ type: 'run.woken', data: {} }] })
  return run !== null
}

/** Wakes the runs whose instant has come, by the control database's clock. Returns how many. */
export async function wakeDueRuns(control: Queryable): Promise<number> {
  const due = await control.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.runs WHERE state = 'waiting' AND next_attempt_at <= clock_timestamp() LIMIT 500`,
  )
  let woken = 0
  for (const { id } of due) if (await wakeRun(control, id)) woken += 1
  return woken
}

async function lockRun(tx: Queryable, id: string): Promise<Run> {
  const [run] = z.uuid().safeParse(id).success
    ? await tx.query(runRow, `SELECT ${runColumns} FROM lethe_control.runs WHERE id = $1 FOR UPDATE`, [id])
    : []
  if (run === undefined) throw new LetheError('E_NOT_FOUND', { message: `There is no run ${id}.` })
  return run
}

async function requestRunning(tx: Queryable, run: Run, request: Request, actor: string): Promise<Run> {
  if (request === 'resume' && run.request === null) return run
  if (run.request === 'cancel' && request !== 'cancel')
    throw await illegal(tx, run.id, `asked to ${request}: its cancel can't be taken back`)
  if (run.request === request) return run
  const wanted = request === 'resume' ? null : request
  await tx.execute(
    `UPDATE lethe_control.runs SET request = $2, requested_by = $3, updated_at = clock_timestamp() WHERE id = $1`,
    [run.id, wanted, actor],
  )
  const type =
    request === 'resume'
      ? 'run.resumed'
      : request === 'pause'
        ? 'run.pause-requested'
        : 'run.cancel-requested'
  await appendEvent(tx, { type, runId: run.id, actor, data: {} })
  return { ...run, request: wanted }
}

async function pauseIdle(tx: Queryable, run: Run, actor: string): Promise<Run> {
  if (run.state === 'paused') return run
  // A cancel that waits for its wind-up can't be held up by a pause.
  const paused =
    run.request === 'cancel'
      ? null
      : await move(tx, 'pause', run, {
          set: 'request = NULL, requested_by = $5',
          values: [actor],
          events: [{ type: 'run.paused', actor, data: {} }],
        })
  if (paused === null) throw await illegal(tx, run.id, 'paused')
  return paused
}

async function resumeIdle(tx: Queryable, run: Run, actor: string): Promise<Run> {
  const resumed = await move(tx, 'resume', run, {
    set: `${dueNow}, request = NULL, requested_by = $5`,
    values: [actor],
    events: [{ type: 'run.resumed', actor, data: {} }],
  })
  if (resumed === null) throw await illegal(tx, run.id, 'resumed')
  return resumed
}

async function cancelIdle(tx: Queryable, run: Run, actor: string): Promise<Run> {
  if (run.request === 'cancel' || run.state === 'cancelled') return run
  const requested = { type: 'run.cancel-requested', actor, data: {} } as const
  const cancelled =
    run.fence === 0n
      ? await move(tx, 'cancel', run, {
          set: `finished_at = clock_timestamp(), outcome = 'cancelled', requested_by = $5`,
          values: [actor],
          events: [requested, { type: 'run.cancelled', actor, data: { outcome: 'cancelled' } }],
        })
      : await move(tx, 'wind-up', run, {
          set: `${dueNow}, request = 'cancel', requested_by = $5`,
          values: [actor],
          events: [requested],
        })
  if (cancelled === null) throw await illegal(tx, run.id, 'cancelled')
  return cancelled
}
