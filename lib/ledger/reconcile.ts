/**
 * What the dispatcher does to runs each round, so that nothing depends on Redis remembering anything and nothing waits
 * for a worker that is gone. Each call may be made by two dispatchers at the same time: rows are taken with SKIP LOCKED
 * and looked at again by the statement that changes them.
 */
import { z } from 'zod'
import type { Database, Transaction } from '../db/index.ts'
import { appendEvent } from './events.ts'

export interface ToEnqueue {
  runId: string
  queue: string
  generation: number
}

/**
 * Raises the generation of queued and due runs that no job speaks for, and returns them; the caller adds them to Redis
 * then. A run is spoken for when it was enqueued since it last became due, and no longer than `staleSeconds` ago: a
 * crash between this statement and Redis, or Redis losing the job, is mended by the first round after that.
 */
export async function takeForEnqueue(
  control: Database,
  { limit, staleSeconds }: { limit: number; staleSeconds: number },
): Promise<ToEnqueue[]> {
  const rows = await control.query(
    z.object({ run_id: z.uuid(), queue: z.string(), generation: z.number() }),
    `UPDATE lethe_control.runs r
     SET generation = r.generation + 1, enqueued_at = clock_timestamp(), updated_at = now()
     FROM (
       SELECT id FROM lethe_control.runs
       WHERE state = 'queued' AND next_attempt_at <= now()
         AND (enqueued_at IS NULL OR enqueued_at < next_attempt_at
           OR enqueued_at < now() - make_interval(secs => $2))
       ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
     ) due
     WHERE r.id = due.id
     RETURNING r.id AS run_id, r.queue, r.generation`,
    [limit, staleSeconds],
  )
  return rows.map((row) => ({ runId: row.run_id, queue: row.queue, generation: row.generation }))
}

/** Redis did not take them: the next round tries again at once instead of after `staleSeconds`. */
export async function forgetEnqueue(control: Database, runIds: readonly string[]): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.runs SET enqueued_at = NULL WHERE id = ANY($1::uuid[]) AND state = 'queued'`,
    [runIds],
  )
}

/** Waiting runs whose time has come are queued again. Those that wait for a person have no time. */
export async function wakeDue(control: Database): Promise<number> {
  return control.execute(
    `UPDATE lethe_control.runs
     SET state = 'queued', waiting_for = NULL, updated_at = now()
     WHERE state = 'waiting' AND next_attempt_at <= now()`,
  )
}

export interface Freed {
  /** Runs that were queued again. */
  queued: number
  /** Of these: those that count as an attempt, because they were lost again and again without one step in between. */
  counted: number
  /** Runs that failed for good that way. */
  failed: { runId: string; kind: string }[]
}

/**
 * Runs whose worker let its lease end are queued again; the fence stays, so that what the lost worker still writes is
 * rejected once another claims. Being lost is not the run's fault and uses no attempt, unless it happens `poisonLosses`
 * times in a row without one finished step: then something in the run ends its worker (memory, a crash), and that
 * counts as an attempt.
 */
export async function freeExpiredLeases(
  control: Database,
  { limit, poisonLosses }: { limit: number; poisonLosses: number },
): Promise<Freed> {
  const freed: Freed = { queued: 0, counted: 0, failed: [] }
  await control.transaction(
    async (tx) => {
      Object.assign(freed, { queued: 0, counted: 0, failed: [] })
      for (const run of await expired(tx, limit)) {
        await appendEvent(tx, { runId: run.id, type: 'run.lease-expired', data: { attempt: run.attempt } })
        const losses = await lossesInARow(tx, run.id)
        if (losses % poisonLosses !== 0) await requeue(tx, run.id)
        else if (run.attempt + 1 < run.max_attempts) {
          await countAttempt(tx, run.id)
          freed.counted += 1
        } else {
          await failLost(tx, run.id, losses)
          freed.failed.push({ runId: run.id, kind: run.kind })
          continue
        }
        freed.queued += 1
      }
    },
    { retry: true },
  )
  return freed
}

const expiredRow = z.object({
  id: z.uuid(),
  kind: z.string(),
  attempt: z.number(),
  max_attempts: z.number(),
})

async function expired(tx: Transaction, limit: number): Promise<z.infer<typeof expiredRow>[]> {
  return tx.query(
    expiredRow,
    `SELECT id, kind, attempt, max_attempts
     FROM lethe_control.runs WHERE state = 'running' AND lease_expires_at < now()
     ORDER BY lease_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [limit],
  )
}

async function lossesInARow(tx: Transaction, id: string): Promise<number> {
  const [row] = await tx.query(
    z.object({ losses: z.number() }),
    `SELECT count(*)::int AS losses FROM lethe_control.events
     WHERE run_id = $1 AND type = 'run.lease-expired'
       AND at > coalesce((SELECT max(finished_at) FROM lethe_control.steps WHERE run_id = $1), '-infinity')`,
    [id],
  )
  return row?.losses ?? 0
}

async function requeue(tx: Transaction, id: string): Promise<void> {
  await tx.execute(
    `UPDATE lethe_control.runs
     SET state = 'queued', lease_holder = NULL, lease_expires_at = NULL, next_attempt_at = now(), updated_at = now()
     WHERE id = $1`,
    [id],
  )
}

async function countAttempt(tx: Transaction, id: string): Promise<void> {
  await tx.execute(
    `UPDATE lethe_control.runs
     SET state = 'queued', lease_holder = NULL, lease_expires_at = NULL, attempt = attempt + 1,
       next_attempt_at = now() + least(interval '1 hour', interval '30 seconds' * power(2, attempt)),
       error_code = 'E_RUN_LOST', error_message = $2, updated_at = now()
     WHERE id = $1`,
    [id, 'Its worker ended again and again without finishing one step.'],
  )
}

async function failLost(tx: Transaction, id: string, losses: number): Promise<void> {
  await tx.execute(
    `UPDATE lethe_control.runs
     SET state = 'failed', lease_holder = NULL, lease_expires_at = NULL, attempt = attempt + 1, outcome = 'failed',
       error_code = 'E_RUN_LOST', error_message = $2, finished_at = now(), updated_at = now()
     WHERE id = $1`,
    [id, `Its worker ended ${losses} times in a row without finishing one step.`],
  )
}
