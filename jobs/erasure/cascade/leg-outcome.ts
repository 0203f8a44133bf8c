/** What is recorded of a leg after a call, a look, or where its place can't be called. */
import { total } from '../../../lib/base/counts/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import type { Place, Retained, Verification } from '../../../lib/data/erasers/index.ts'
import type { Claim } from '../../../lib/record/ledger/index.ts'
import { recordLegs, type Leg, type LegChange } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { isBucketAway } from '../../erasure-ledger.ts'
import type { House } from './house.ts'

/** How soon a bucket that was away is asked again: nothing of the leg was touched. */
const BUCKET_SECONDS = 60
/** First wait after a failure, doubled with each, and the longest: a vendor that is down for a day is asked each hour. */
export const BACKOFF_SECONDS = { first: 5, longest: 3_600 }
/** Failures that trying again doesn't mend, before a person is asked. */
const PATIENCE = 3

/** What reading back says of a leg. `refused`: what turned the deletion of something of theirs away, in the call just made. */
export function verified(
  place: Place,
  { leg, refused }: { leg: Leg; refused?: string | undefined },
  found: Verification | undefined,
): LegChange {
  const { requestId, store } = leg
  if (found === undefined) return { requestId, store, state: 'accepted', after: BACKOFF_SECONDS.first }
  const clear = { errorCode: null, errorMessage: null }
  const stays = together(found.retained, leg.retained)
  if (found.absent)
    return {
      requestId,
      store,
      ...clear,
      state: stays.length > 0 ? 'retained' : 'verified',
      remains: {},
      retained: stays,
    }
  // nobody said that it was done
  if (refused !== undefined) return turnedAway(leg, refused, found)
  const lies = leg.reopened + 1
  return {
    requestId,
    store,
    state: 'failed',
    lied: true,
    remains: found.left,
    retained: [...found.retained],
    after: lies >= place.patience ? null : backoff(lies),
    errorCode: 'E_STILL_THERE',
    errorMessage: `Reading ${store} back found ${total(found.left)} items: ${Object.keys(found.left).join(', ')}.`,
  }
}

function turnedAway(leg: Leg, by: string, found: Verification): LegChange {
  const { requestId, store } = leg
  const attempt = leg.attempt + 1
  return {
    requestId,
    store,
    state: 'failed',
    fresh: false,
    remains: found.left,
    retained: [...found.retained],
    after: attempt >= PATIENCE ? null : backoff(attempt),
    errorCode: 'E_ROW_REFUSED',
    errorMessage: `Store ${store} refused to delete rows of this person (${Object.keys(found.left).join(', ')} are still there): ${by}.`,
  }
}

/** What was read back, and what the erasure said of places that can't be: a customer's payments, once the customer is gone. */
function together(read: readonly Retained[], said: readonly Retained[]): Retained[] {
  return [...read, ...said.filter(({ place }) => !read.some((one) => one.place === place))]
}

/** A call or a look that failed, and when the next is due. */
export function failed(house: House, leg: Leg, error: unknown): LegChange {
  const { requestId, store } = leg
  const known = error instanceof LetheError ? error : null
  if (known === null)
    house.context.log.error({ request: requestId, store, ...errorFields(error) }, 'a leg failed unexpectedly')
  const attempt = leg.attempt + 1
  const wait = known?.facts['retryAfterSeconds']
  const retryable = known?.retryable ?? true
  return {
    requestId,
    store,
    state: 'failed',
    errorCode: known?.code ?? 'E_INTERNAL',
    errorMessage: known?.message ?? 'An unexpected error was raised; the log has the place.',
    after: isBucketAway(error)
      ? BUCKET_SECONDS
      : !retryable && attempt >= PATIENCE
        ? null
        : typeof wait === 'number'
          ? Math.min(wait, 86_400)
          : backoff(attempt),
  }
}

function backoff(attempt: number): number {
  return Math.min(BACKOFF_SECONDS.first * 2 ** (attempt - 1), BACKOFF_SECONDS.longest)
}

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
