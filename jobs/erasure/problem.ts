/** A place that this process can't call as it is configured. */
import type { Place } from '../../lib/data/erasers/index.ts'
import { errorFields } from '../../lib/base/log/index.ts'
import type { Claim } from '../../lib/record/ledger/index.ts'
import { recordLegs, type Leg } from '../../lib/record/requests/index.ts'
import type { Context } from '../context.ts'

/** What this process lacks to call a place is known here only: another process may have it. The message has no value. */
export async function sayProblem(
  { control, log }: Context,
  claim: Claim,
  place: Place | undefined,
  legs: readonly Leg[],
): Promise<void> {
  if (place?.problem === undefined) return
  const { store, problem } = place
  log.error(
    { store, requests: legs.length, error: errorFields(problem) },
    'a store can not be called as this process is configured',
  )
  const { code: errorCode, message: errorMessage } = problem
  await recordLegs(
    control,
    claim,
    legs.map(({ requestId, state }) => ({ requestId, store, state, errorCode, errorMessage })),
  )
}
