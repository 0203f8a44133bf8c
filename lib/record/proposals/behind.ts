/** How late a policy is: over its schedule, and the runs that came of it. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { occurrencesAfter } from '../../base/schedule/index.ts'
import { lastSuccess } from '../ledger/index.ts'

/** For each policy with a schedule: how long (s) it has been due without a finished run since, whatever its outcome. */
export async function policiesBehind(control: Queryable): Promise<{ policy: string; seconds: number }[]> {
  return control.query(
    z.object({ policy: z.string(), seconds: z.coerce.number() }),
    `SELECT s.payload ->> 'policy' AS policy,
       coalesce(extract(epoch FROM clock_timestamp() - min(o.at)), 0) AS seconds
     FROM ${occurrencesAfter(`coalesce(${lastSuccess('s.kind', `s.payload ->> 'policy'`)}, '-infinity')`)}
     WHERE s.enabled AND s.kind = 'retention.sweep' GROUP BY 1`,
  )
}
