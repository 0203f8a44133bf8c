/** Probes: proof that what goes into a queue comes out of it. All times are the control database's. */
import { z } from 'zod'
import type { Database } from '../../../base/db/index.ts'

export interface QueueAge {
  /** Seconds that the queue's probe has been in Redis unanswered; null: none is. */
  probeSeconds: number | null
  /** Seconds that the oldest due and enqueued run has waited for a worker; null: none does. */
  oldestRunSeconds: number | null
}

/**
 * The probe that should be in the queue now: the unanswered one, or a new one with `freshId` when the last was answered.
 * Called each round: adding the same one to Redis again is a no-op while it is there, and the repair when it is not.
 */
export async function currentProbe(control: Database, queue: string, freshId: string): Promise<string> {
  const [probe] = await control.query(
    z.object({ id: z.uuid() }),
    `INSERT INTO lethe_control.probes AS p (queue, id) VALUES ($1, $2)
     ON CONFLICT (queue) DO UPDATE SET
       id = CASE WHEN p.answered_at IS NULL THEN p.id ELSE excluded.id END,
       sent_at = CASE WHEN p.answered_at IS NULL THEN p.sent_at END,
       answered_at = NULL
     RETURNING id`,
    [queue, freshId],
  )
  return probe?.id ?? freshId
}

/** Redis has it. The first time counts: a probe put back after Redis was emptied does not get younger. */
export async function markProbeSent(control: Database, queue: string, id: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.probes SET sent_at = coalesce(sent_at, now()) WHERE queue = $1 AND id = $2`,
    [queue, id],
  )
}

/** A worker took it. An old probe that comes late counts for nothing but still shows that the queue flows. */
export async function answerProbe(control: Database, queue: string, id: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.probes SET last_answered_at = now(),
       answered_at = CASE WHEN id = $2 THEN coalesce(answered_at, now()) ELSE answered_at END
     WHERE queue = $1`,
    [queue, id],
  )
}

/** When each queue last handed a probe to a worker. */
export async function probesAnswered(control: Database): Promise<{ queue: string; at: Date }[]> {
  return control.query(
    z.object({ queue: z.string(), at: z.date() }),
    `SELECT queue, last_answered_at AS at FROM lethe_control.probes WHERE last_answered_at IS NOT NULL ORDER BY queue`,
  )
}

export async function queueAge(control: Database, queue: string): Promise<QueueAge> {
  const [age] = await control.query(
    z.object({ probe: z.number().nullable(), run: z.number().nullable() }),
    `SELECT
       (SELECT extract(epoch FROM now() - sent_at)::float8 FROM lethe_control.probes
         WHERE queue = $1 AND answered_at IS NULL) AS probe,
       (SELECT extract(epoch FROM now() - min(next_attempt_at))::float8 FROM lethe_control.runs
         WHERE queue = $1 AND state = 'queued' AND next_attempt_at <= now() AND enqueued_at >= next_attempt_at) AS run`,
    [queue],
  )
  return { probeSeconds: age?.probe ?? null, oldestRunSeconds: age?.run ?? null }
}
