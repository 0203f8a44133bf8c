/** A vendor's limit on calls, shared by all workers: one row a store says when the next call may go out. */
import { z } from 'zod'
import { throttled, type Pace } from '../../base/calls/index.ts'
import { sleep } from '../../base/clock/index.ts'
import { prepared, type Queryable } from '../../base/db/index.ts'

/** Longer waits are left to a later run. */
const LONGEST_SECONDS = 15

/** `perMinute: null`: no limit of its own, but a rest that was asked for is kept. */
export function paceOf(control: Queryable, store: string, perMinute: number | null): Pace {
  const gap = perMinute === null ? 0 : 60 / perMinute
  return {
    async turn(signal) {
      signal.throwIfAborted()
      // The turn is taken only where it comes soon enough, so that whoever gives up leaves no hole. A server that crashes may
      // forget the last ones: no call waits for its disk.
      const [row] = await control.query(
        z.object({ wait: z.number(), taken: z.boolean() }),
        prepared(`WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)), there AS (
           INSERT INTO lethe_control.paces AS p (store, next_at) SELECT $1, clock_timestamp() + $2 * interval '1 second' FROM unflushed
           ON CONFLICT (store) DO UPDATE SET next_at = greatest(p.next_at, clock_timestamp()) + $2 * interval '1 second'
             WHERE p.next_at <= clock_timestamp() + $3 * interval '1 second'
           RETURNING greatest(extract(epoch FROM next_at - clock_timestamp()) - $2, 0)::double precision AS wait
         )
         SELECT wait, true AS taken FROM there
         UNION ALL SELECT extract(epoch FROM next_at - clock_timestamp())::double precision, false
           FROM lethe_control.paces WHERE store = $1 AND NOT EXISTS (SELECT FROM there)`),
        [store, gap, LONGEST_SECONDS],
      )
      if (row?.taken === false)
        throw throttled(
          `Store ${store} is not called for another ${Math.ceil(row.wait)} s: its limit is used up.`,
          {
            store,
            retryAfterSeconds: Math.ceil(row.wait),
          },
        )
      if (row !== undefined && row.wait > 0) await sleep(row.wait * 1000, signal)
    },
    async rest(seconds) {
      await control.execute(
        prepared(`INSERT INTO lethe_control.paces AS p (store, next_at) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
         ON CONFLICT (store) DO UPDATE SET next_at = greatest(p.next_at, EXCLUDED.next_at)`),
        [store, seconds],
      )
    },
  }
}
