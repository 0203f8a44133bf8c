/**
 * Claims, leases and fences. All times are the control database's.
 *
 * A lease says who should be working; a fence says who may write. A worker that is stopped, partitioned or blocked past
 * its lease does not know it, so no write trusts the lease: each carries the fence of its claim and is refused once a
 * newer claim has raised it. A late renewal of a lease that nobody took over is harmless for the same reason.
 */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { rowEvent } from '../evidence/index.ts'
import { heldRun } from './conditions.ts'
import { fenced, move, noLease } from './move.ts'
import type { Claim, Run } from './run.ts'

/**
 * What a lost claim costs. A worker that is killed is not its run's fault, and a sweep of a week meets many restarts: a
 * claim with a step that made progress costs nothing. One without costs an attempt, so that a run which kills its worker
 * each time at the same place ends.
 */
const lost = `CASE WHEN EXISTS (
  SELECT 1 FROM lethe_control.steps s WHERE s.run_id = runs.id AND s.fence = runs.fence AND s.progress) THEN 0 ELSE 1 END`

const claimed = rowEvent('run.claimed', {
  attempt: 'attempt',
  fence: 'fence::text',
  generation: 'generation',
  holder: 'lease_holder',
})

/**
 * Takes the run if it is due and the generation is the newest, or if its holder's lease has ended; a takeover of a claim
 * that made no progress uses one attempt (`lost`). Null: nothing to do, the job may be acknowledged.
 *
 * Safe with two claimants because the second one's UPDATE waits for the first's row lock and then finds a running row
 * with a fresh lease. Safe with an old job left in Redis because its generation is no longer the run's.
 */
export async function claimRun(
  control: Queryable,
  claim: { runId: string; generation: number; holder: string; leaseSeconds: number },
): Promise<Run | null> {
  return move(
    control,
    'claim',
    { id: claim.runId },
    {
      // On the right-hand side `state` is still the old one: a row that was running is being taken over.
      set: `fence = fence + 1, lease_holder = $6, lease_expires_at = clock_timestamp() + $7 * interval '1 second',
        attempt = attempt + CASE WHEN state = 'running' THEN ${lost} ELSE 0 END,
        started_at = coalesce(started_at, clock_timestamp()), waiting_for = NULL`,
      where: `generation = $5 AND CASE state
        WHEN 'queued' THEN next_attempt_at <= clock_timestamp()
        ELSE lease_expires_at <= clock_timestamp() AND attempt + ${lost} < max_attempts END`,
      values: [claim.generation, claim.holder, claim.leaseSeconds],
      noted: claimed,
    },
  )
}

/** A takeover waits until this transaction ends. Throws E_FENCED. */
export async function holdClaim(tx: Queryable, claim: Claim): Promise<void> {
  const held = await tx.execute(heldRun('$1', '$2'), [claim.id, claim.fence.toString()])
  if (held !== 1) throw fenced(claim)
}

/** False: the claim is lost; stop at once. */
export async function renewLease(
  control: Queryable,
  runId: string,
  fence: bigint,
  leaseSeconds: number,
): Promise<boolean> {
  const touched = await control.execute(
    `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp() + $3 * interval '1 second'
     WHERE id = $1 AND fence = $2 AND state = 'running'`,
    [runId, fence.toString(), leaseSeconds],
  )
  return touched === 1
}

const expired = z.object({
  id: z.string(),
  fence: z.coerce.bigint(),
  attempt: z.number(),
  max_attempts: z.number(),
  lost: z.number(),
})

/**
 * Frees runs whose holder let the lease end: queued again, or failed where that was the last attempt. Returns how many;
 * `onFailed` is told of each that ended. Safe beside a holder that renews in the same moment because the fence and the expiry are checked again in each UPDATE.
 */
export async function freeExpiredLeases(
  control: Queryable,
  onFailed: (run: Run) => void = () => undefined,
): Promise<number> {
  const rows = await control.query(
    expired,
    `SELECT id, fence, attempt, max_attempts, ${lost} AS lost FROM lethe_control.runs
     WHERE state = 'running' AND lease_expires_at <= clock_timestamp() ORDER BY lease_expires_at LIMIT 100`,
  )
  let freed = 0
  for (const row of rows) {
    const run = await freeOne(control, row)
    if (run !== null) freed += 1
    if (run?.state === 'failed') onFailed(run)
  }
  return freed
}

async function freeOne(control: Queryable, row: z.infer<typeof expired>): Promise<Run | null> {
  const claim: Claim = { id: row.id, fence: row.fence }
  const attempt = row.attempt + row.lost
  const event = { type: 'run.lease-expired', data: { attempt } } as const
  const where = 'lease_expires_at <= clock_timestamp()'
  if (attempt < row.max_attempts)
    return move(control, 'expire', claim, {
      set: `${noLease}, attempt = $5, next_attempt_at = clock_timestamp(), enqueued_at = NULL`,
      where,
      values: [attempt],
      events: [event],
    })
  return move(control, 'fail', claim, {
    set: `${noLease}, attempt = $5, finished_at = clock_timestamp(), outcome = 'worker-lost',
      error_code = 'E_RUN_LOST', error_message = 'Its worker ended again and again at the same place, without any progress.'`,
    where,
    values: [attempt],
    events: [event, { type: 'run.failed', data: { outcome: 'worker-lost', code: 'E_RUN_LOST' } }],
  })
}
