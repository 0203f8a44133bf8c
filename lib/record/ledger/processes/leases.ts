/** Named leases (the dispatcher's leadership). By the control database's clock; the fence rises with each new holder. */
import { z } from 'zod'
import type { Queryable } from '../../../base/db/index.ts'

/**
 * Takes or renews the lease; null while another holder's runs. Safe with two at once because ON CONFLICT locks the row
 * and evaluates the condition on what the first one left.
 */
export async function acquireLease(
  control: Queryable,
  name: string,
  holder: string,
  seconds: number,
): Promise<{ fence: bigint } | null> {
  const [row] = await control.query(
    z.object({ fence: z.coerce.bigint() }),
    `INSERT INTO lethe_control.leases AS lease (name, holder, fence, expires_at)
     VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 second')
     ON CONFLICT (name) DO UPDATE
     SET holder = excluded.holder, expires_at = excluded.expires_at,
       fence = lease.fence + CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END
     WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
     RETURNING fence`,
    [name, holder, seconds],
  )
  return row ?? null
}

/** Ends the lease if it is still the holder's; idempotent. */
export async function releaseLease(control: Queryable, name: string, holder: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2`,
    [name, holder],
  )
}
