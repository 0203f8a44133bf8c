/** Holds: who is held waits, their ledger entries voided; who is released goes on. */
import { monotonicMs } from '../../../lib/base/clock/index.ts'
import { heldAmong, isHold } from '../../../lib/data/rows/index.ts'
import { ensureHolds } from '../../../lib/record/holds/index.ts'
import {
  getRequests,
  legsOf,
  moveRequests,
  postpone,
  type ErasureRequest,
  type Leg,
} from '../../../lib/record/requests/index.ts'
import { goingOf, ids, keysOf, mover } from './going.ts'
import { erasesAt, unlessBucketIsAway, type House } from './house.ts'
import { withhold } from './ledger.ts'

/** A look at the holds is good for this long. */
const FRESH_MS = 1_000

/** Those that nothing keeps; the others are put on hold, or before a person where the law keeps the whole subject. */
export async function withoutHolds(
  house: House,
  requests: readonly ErasureRequest[],
): Promise<ErasureRequest[]> {
  const { context } = house
  await lookAtHolds(house)
  const words = await keptBack(
    house,
    requests.filter((request) => !isFree(house, request)),
  )
  const held = requests.filter((request) => words.get(request.id) === 'held')
  // before the hold is told: a restore must not replay what the hold keeps
  await unlessBucketIsAway(house, async () => {
    await withdraw(
      house,
      held.filter(({ planHash }) => planHash !== null),
    )
    await moveRequests(context.control, 'hold', ids(held), mover(house), {
      next: `clock_timestamp() + interval '1 minute'`,
      waitingFor: 'legal-hold',
    })
  })
  for (const [word, some] of Map.groupBy(
    requests.filter((request) => (words.get(request.id) ?? 'held') !== 'held'),
    (request) => words.get(request.id) ?? '',
  ))
    await moveRequests(context.control, 'attend', ids(some), mover(house), {
      next: `'infinity'`,
      waitingFor: word,
    })
  const free = requests.filter((request) => !words.has(request.id))
  for (const request of free) if (!isFree(house, request)) house.seenFree.set(seenAs(request), monotonicMs())
  return free
}

/** Before anything is destroyed: the target has the holds of the record. Those seen under other holds are asked again. */
async function lookAtHolds(house: House): Promise<void> {
  const { control, keystore } = house.context
  const version = await ensureHolds(control, keystore, house.subject.store, house.target)
  if (version !== house.holds) house.seenFree.clear()
  house.holds = version
}

/**
 * Once a call, after it is begun and before it goes out, and between its pages: those that nothing keeps. The others are not asked for in this step any
 * more; the next one puts them on hold, when no call is under way.
 */
export async function unheldLegs(house: House, store: string, legs: readonly Leg[]): Promise<readonly Leg[]> {
  const { control, keystore, config } = house.context
  await lookAtHolds(house)
  if (store !== house.subject.store && config.file.stores[store]?.kind === 'postgres')
    await ensureHolds(control, keystore, store, await house.context.target(store))
  const asked = idsOf(legs).filter((id) => !isSeen(house, `${id} with all that was merged`))
  if (asked.length > 0) {
    const requests = await getRequests(control, asked)
    const words = await keptBack(house, requests)
    for (const request of requests)
      if (words.has(request.id)) house.aside.add(request.id)
      else house.seenFree.set(seenAs(request), monotonicMs())
  }
  return legs.filter(({ requestId }) => !house.aside.has(requestId))
}

export function idsOf(legs: readonly Leg[]): string[] {
  return legs.map(({ requestId }) => requestId)
}

/** No hold was there a moment ago: nobody could have set one any sooner. Rows are guarded again by what deletes them. */
function isFree(house: House, request: ErasureRequest): boolean {
  return isSeen(house, seenAs(request))
}

function isSeen(house: House, as: string): boolean {
  return monotonicMs() - (house.seenFree.get(as) ?? -Infinity) < FRESH_MS
}

/** With rows that were merged into it, a person is another one to look for. */
function seenAs(request: ErasureRequest): string {
  return `${request.id} ${request.planHash === null ? 'itself' : 'with all that was merged'}`
}

/** The word that keeps each of them, where one does; a hold before anything else. */
async function keptBack(house: House, requests: readonly ErasureRequest[]): Promise<Map<string, string>> {
  const members = requests.flatMap((request) =>
    keysOf(house, request).map((key) => ({ id: request.id, key })),
  )
  const found = await heldAmong(
    house.target,
    await house.plan([]),
    members.map(({ key }) => key),
  )
  const words = new Map<string, string>()
  members.forEach(({ id }, place) => {
    const word = found[place] ?? null
    if (word !== null && words.get(id) !== 'held') words.set(id, isHold(word) ? 'held' : word)
  })
  return words
}

/** What was begun gets its ledger entries again before it goes on. */
export async function resumeReleased(
  house: House,
  due: readonly ErasureRequest[],
): Promise<readonly ErasureRequest[]> {
  const { context, claim } = house
  await lookAtHolds(house)
  const words = await keptBack(house, due)
  const held = due.filter(({ id }) => words.get(id) === 'held')
  await postpone(context.control, ids(held), claim, `clock_timestamp() + interval '1 minute'`, 'legal-hold')
  const free = due.filter((request) => !held.includes(request))
  const begun = free.filter(({ resumeState }) => resumeState === 'erasing' || resumeState === 'verifying')
  if (begun.length > 0) await house.ledger.enterAll(claim, () => goingOf(house, begun))
  // months may have passed: what leads to the person is collected anew
  const planned = free.filter(({ resumeState }) => resumeState === 'planned')
  const others = free.filter((request) => !planned.includes(request))
  return [
    ...(await moveRequests(context.control, 'replan', ids(planned), mover(house))),
    ...(await moveRequests(context.control, 'resume', ids(others), mover(house))),
  ]
}

/** Voids the entries for places that were not called yet. Where something was, the entry stands: a part is gone. */
export async function withdraw(house: House, requests: readonly ErasureRequest[]): Promise<void> {
  if (requests.length === 0) return
  const called = new Set(
    (await legsOf(house.context.control, ids(requests)))
      .filter(({ attempt, state }) => attempt > 0 || state !== 'pending')
      .map(({ requestId, store }) => `${requestId} ${store}`),
  )
  const stores = house.places.filter(erasesAt).map(({ store }) => store)
  const staying = requests.map((request) => ({
    request,
    keys: keysOf(house, request),
    stores: stores.filter((store) => !called.has(`${request.id} ${store}`)),
  }))
  await withhold(house.context, house.claim, staying)
  await house.ledger.catchUp()
}
