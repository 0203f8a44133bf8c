/** Where requests stand after their legs were worked on: reading back, done, or before a person. */
import {
  keepSealed,
  legsOf,
  markAnswered,
  moveRequests,
  openLegs,
  postpone,
  type ErasureRequest,
  type Leg,
  type RequestVerb,
} from '../../../lib/record/requests/index.ts'
import { answerCompletion } from './answers.ts'
import { ids, mover } from './going.ts'
import { storesOf, type House } from './house.ts'
import { issueReceipts } from './receipt.ts'
import { entomb } from './tombstones.ts'

/** Of requests in `erasing` or `verifying`. Returns how many ended. */
export async function settle(house: House, requests: readonly ErasureRequest[]): Promise<number> {
  if (requests.length === 0) return 0
  const { control, config } = house.context
  const standing = new Map(
    (await openLegs(control, ids(requests), storesOf(house.places))).map((one) => [one.requestId, one]),
  )
  const ended: ErasureRequest[] = []
  const reading: string[] = []
  const reopened: string[] = []
  const stuck: string[] = []
  const answering: ErasureRequest[] = []
  const waiting: { id: string; next: Date }[] = []
  for (const request of requests) {
    const found = standing.get(request.id)
    if (found === undefined || found.open + found.unread === 0) {
      ended.push(request)
      continue
    }
    // all that is left is the channel of the last answer, which goes once that was delivered
    if (found.open + found.unread === found.channel && request.answeredAt === null) {
      answering.push(request)
      continue
    }
    if (found.next === null) stuck.push(request.id)
    else waiting.push({ id: request.id, next: found.next })
    if (found.open === 0 && request.state === 'erasing') reading.push(request.id)
    if (found.open > 0 && request.state === 'verifying') reopened.push(request.id)
  }
  await moveRequests(control, 'verify', reading, mover(house))
  await moveRequests(control, 'reopen', reopened, mover(house))
  await moveRequests(control, 'attend', stuck, mover(house), { next: `'infinity'`, waitingFor: 'failed-leg' })
  for (const [at, some] of Map.groupBy(waiting, ({ next }) => next.toISOString()))
    await postpone(
      control,
      some.map(({ id }) => id),
      house.claim,
      `'${at}'::timestamptz`,
      null,
    )
  await keepSealed(
    control,
    waiting.map(({ id }) => id),
    config.file.erasure.keep_identifiers,
  )
  await answerFirst(house, answering)
  return end(house, ended)
}

/** Looked at again once the answer was delivered: `markAnswered` makes it due. */
async function answerFirst(house: House, requests: readonly ErasureRequest[]): Promise<void> {
  if (requests.length === 0) return
  const { control } = house.context
  await postpone(control, ids(requests), house.claim, `clock_timestamp() + interval '1 hour'`, 'answer')
  const legs = Map.groupBy(await legsOf(control, ids(requests)), (leg) => leg.requestId)
  await markAnswered(
    control,
    await answerCompletion(house.context, await entomb(house, requests, legs), legs),
  )
}

async function end(house: House, given: readonly ErasureRequest[]): Promise<number> {
  if (given.length === 0) return 0
  const { control } = house.context
  const legs = Map.groupBy(await legsOf(control, ids(given)), (leg) => leg.requestId)
  const requests = await entomb(house, given, legs)
  if (requests.length === 0) return 0
  const untold = await answerCompletion(
    house.context,
    requests.filter(({ answeredAt }) => answeredAt === null),
    legs,
  )
  await issueReceipts(house, requests, legs)
  let done = 0
  for (const [verb, some] of Map.groupBy(requests, (request) => outcomeOf(legs.get(request.id) ?? []))) {
    const ended = await moveRequests(control, verb, ids(some), mover(house), {
      set: `answered_at = CASE WHEN r.id = ANY ($7::uuid[]) THEN clock_timestamp() ELSE r.answered_at END,
        sealed = NULL, sealed_key_id = NULL, sealed_until = NULL`,
      values: [untold],
    })
    done += ended.length
  }
  return done
}

type EndVerb = Extract<RequestVerb, `complete${string}`>

function outcomeOf(legs: readonly Leg[]): EndVerb {
  if (legs.some(({ state }) => state === 'accepted-as-failed')) return 'complete-with-left'
  return legs.some(({ state }) => state === 'retained') ? 'complete-with-retained' : 'complete'
}
