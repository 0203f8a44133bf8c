/**
 * The way from the record to the queue. PostgreSQL says what is queued, Redis only carries it: a run is taken for
 * enqueueing by raising its generation and noting the instant; a job of an older generation, still in Redis or put there
 * twice, claims nothing. So a dispatcher that dies between the two, and a FLUSHALL, cost a delay and nothing else.
 */
import { z } from 'zod'
import type { Queryable } from '../../../base/db/index.ts'

export interface Enqueueable {
  runId: string
  queue: string
  generation: number
}

const row = z
  .object({ id: z.string(), queue: z.string(), generation: z.number() })
  .transform((found): Enqueueable => ({ runId: found.id, queue: found.queue, generation: found.generation }))

/**
 * Due runs that are not in the queue, each with a new generation; put every one of them into the queue, and
 * `forgetEnqueue` those that could not be. SKIP LOCKED: two dispatchers never take the same run.
 */
export async function takeForEnqueue(control: Queryable, limit = 500): Promise<Enqueueable[]> {
  return control.query(
    row,
    `UPDATE lethe_control.runs SET generation = generation + 1, enqueued_at = clock_timestamp()
     WHERE id IN (
       SELECT id FROM lethe_control.runs
       WHERE state = 'queued' AND enqueued_at IS NULL AND next_attempt_at <= clock_timestamp()
       ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
     )
     RETURNING id, queue, generation`,
    [limit],
  )
}

/** Runs enqueued longer ago than this and still not claimed: look whether their jobs are there. Oldest first. */
export async function enqueuedBefore(
  control: Queryable,
  seconds: number,
  limit = 500,
): Promise<Enqueueable[]> {
  return control.query(
    row,
    `SELECT id, queue, generation FROM lethe_control.runs
     WHERE state = 'queued' AND enqueued_at < clock_timestamp() - $1 * interval '1 second'
     ORDER BY enqueued_at LIMIT $2`,
    [seconds, limit],
  )
}

/** The job of this generation is not in the queue: the next `takeForEnqueue` takes the run again. */
export async function forgetEnqueue(control: Queryable, runId: string, generation: number): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.runs SET enqueued_at = NULL WHERE id = $1 AND generation = $2 AND state = 'queued'`,
    [runId, generation],
  )
}
