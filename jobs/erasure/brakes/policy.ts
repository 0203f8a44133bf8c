/**
 * What a policy began stays under that policy, whoever executes it: its guard, as it was approved, is asked again as long as
 * nothing of the person is gone, and its brakes (disarmed, changed, paused, outside its window, throttled) hold each call back. A
 * person who asked for it themselves is under no policy any more.
 */
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import { policyVersion } from '../../../lib/config/index.ts'
import type { Person } from '../../../lib/data/erasers/index.ts'
import { startThrottle, whyNot, type Guard } from '../../../lib/data/rows/index.ts'
import { listStops } from '../../../lib/record/holds/index.ts'
import { approvedPolicies, armedVersion, type ApprovedPolicy } from '../../../lib/record/proposals/index.ts'
import {
  begunIn,
  endedLegs,
  getRequest,
  getRequests,
  legsOf,
  moveRequests,
  openSecrets,
  postpone,
  type ErasureRequest,
  type Leg,
} from '../../../lib/record/requests/index.ts'
import { ids, mover } from '../cascade/going.ts'
import { withdraw } from '../cascade/held.ts'
import type { House } from '../cascade/house.ts'
import { letStay } from '../desk/support.ts'

/** How soon a brake without an end of its own is looked at again. */
const LOOK_SECONDS = 60

/** Those that nothing of their policy, and no stop of the subject's own store, keeps back now. The others wait or were let go. */
export async function unbraked(house: House, requests: readonly ErasureRequest[]): Promise<ErasureRequest[]> {
  await lookAtStops(house)
  if (house.stopped.has(house.subject.store)) return []
  return underPolicies(house, requests, { underWay: false })
}

/** `underWay`: calls of other lanes are, so that what has begun can't be told from what a call is about to leave whole. */
async function underPolicies(
  house: House,
  requests: readonly ErasureRequest[],
  calls: { underWay: boolean },
): Promise<ErasureRequest[]> {
  const policies = await approvedOf(house, requests)
  const free: ErasureRequest[] = []
  for (const [policy, some] of Map.groupBy(requests, (request) => policies.get(request.id))) {
    if (policy === undefined) {
      free.push(...some)
      continue
    }
    const brake = await brakeOf(house, policy)
    if (brake === null) free.push(...(await stillDue(house, policy, some, calls)))
    else if (brake.word === 'disarmed') await letGoAll(house, some, 'disarmed')
    else await wait(house, some, brake)
  }
  return free
}

/**
 * A person who closed their account after the ledger's entries, and before the first call, has their grace: the entries are
 * voided. Returns the others.
 */
export async function withoutGrace(
  house: House,
  requests: readonly ErasureRequest[],
): Promise<ErasureRequest[]> {
  const others: ErasureRequest[] = []
  for (const request of requests) {
    const promised = request.hasGrace && request.graceUntil === null && request.state === 'erasing'
    if (!promised || (await begunIn(house.context.control, request.id)).length > 0) others.push(request)
    else {
      await withdraw(house, [request])
      await moveRequests(house.context.control, 'give-grace', [request.id], mover(house))
    }
  }
  return others
}

/** One query: what is stopped now. */
async function lookAtStops(house: House): Promise<void> {
  const stops = await listStops(house.context.control)
  const named = (scope: string) => new Set(stops.flatMap((one) => (one.scope === scope ? [one.name] : [])))
  house.stopped = named('store')
  house.paused = named('policy')
}

/** By request; nothing for one that a person asked for. */
async function approvedOf(
  house: House,
  requests: readonly ErasureRequest[],
): Promise<Map<string, ApprovedPolicy>> {
  const own = requests.flatMap(({ id, kind, proposalId }) =>
    kind === 'retention' && proposalId !== null ? [{ id, proposalId }] : [],
  )
  const unknown = own.flatMap(({ proposalId }) => (house.approved.has(proposalId) ? [] : [proposalId]))
  if (unknown.length > 0)
    for (const policy of await approvedPolicies(house.context.control, [...new Set(unknown)]))
      house.approved.set(policy.id, policy)
  return new Map(
    own.flatMap(({ id, proposalId }) => {
      const policy = house.approved.get(proposalId)
      return policy === undefined ? [] : [[id, policy] as const]
    }),
  )
}

interface Brake {
  word: string
  seconds: number
}

/** What the policy itself says now; null: go on. */
async function brakeOf(house: House, { policy: name, version }: ApprovedPolicy): Promise<Brake | null> {
  const { config, control } = house.context
  const policy = Object.hasOwn(config.policies, name) ? config.policies[name] : undefined
  if (policy === undefined || policyVersion(policy) !== version)
    return { word: 'disarmed', seconds: LOOK_SECONDS }
  if ((await armedVersion(control, name)) !== version) return { word: 'disarmed', seconds: LOOK_SECONDS }
  if (house.paused.has(name)) return { word: 'policy-paused', seconds: LOOK_SECONDS }
  const throttle =
    house.throttles.get(name) ?? (await startThrottle(house.target, policy.throttle, policy.window ?? null))
  house.throttles.set(name, throttle)
  const verdict = throttle.verdict()
  return verdict === null
    ? null
    : { word: `policy:${verdict.reason}`, seconds: Math.max(1, Math.ceil(verdict.waitMs / 1000)) }
}

async function wait(
  house: House,
  requests: readonly ErasureRequest[],
  { word, seconds }: Brake,
): Promise<void> {
  const next = `clock_timestamp() + interval '${seconds} seconds'`
  await postpone(house.context.control, ids(requests), house.claim, next, word)
}

/** What keeps a person in any case is a hold's or the law's, and is asked elsewhere; a row that is gone can't be asked. */
function turns(reason: string | null): reason is string {
  return reason !== null && reason !== 'gone' && reason !== 'kept' && !/^(held|hold:|minimum:)/.test(reason)
}

/** Who is not due any more, or is excepted meanwhile, is let go; of whom a part is gone comes before a person. */
async function stillDue(
  house: House,
  policy: ApprovedPolicy,
  requests: readonly ErasureRequest[],
  calls: { underWay: boolean },
): Promise<ErasureRequest[]> {
  const { control, keystore, log } = house.context
  const guard = guardOf(policy)
  const attend = async (some: readonly ErasureRequest[], waitingFor: string) =>
    moveRequests(control, 'attend', ids(some), mover(house), { next: `'infinity'`, waitingFor })
  if (guard === null) {
    await attend(requests, 'policy-unknown')
    return []
  }
  let reasons: (string | null)[]
  try {
    const keys = requests.map((request) => openSecrets(keystore, request).key)
    reasons = await whyNot(house.target, await house.plan([]), guard, keys)
  } catch (error) {
    house.signal.throwIfAborted()
    if (!(error instanceof LetheError) || error.retryable || error.facts['sqlstate'] === undefined)
      throw error
    log.error(
      { policy: policy.policy, ...errorFields(error) },
      'the conditions of a policy can not be asked any more',
    )
    await attend(requests, 'policy-unknown')
    return []
  }
  const free: ErasureRequest[] = []
  for (const [place, request] of requests.entries()) {
    const reason = reasons[place] ?? null
    if (!turns(reason)) {
      free.push(request)
      continue
    }
    if ((await letGo(house, request, reason)) !== 'begun') continue
    if (!(await isOpen(house, request))) free.push(request)
    // whether a part is gone is decided by the next step, once no call is under way
    else if (!calls.underWay) {
      await withdraw(house, [request])
      await attend([request], `came-back:${reason}`)
    }
  }
  return free
}

/** Null: it was handed over by a version that kept none. */
export function guardOf({ guard }: ApprovedPolicy): Guard | null {
  return guard === null ? null : { ...guard, values: [] }
}

/** Something of it could still be destroyed, but for what a named person accepted to leave. */
async function isOpen(house: House, request: ErasureRequest): Promise<boolean> {
  return (await legsOf(house.context.control, [request.id])).some(
    ({ kind, state }) => kind !== 'search' && kind !== 'declared' && !endedLegs.includes(state),
  )
}

/** What was begun waits, so that whoever disarmed decides; what was not is let go. */
async function letGoAll(house: House, requests: readonly ErasureRequest[], reason: string): Promise<void> {
  const begun: ErasureRequest[] = []
  for (const request of requests) if ((await letGo(house, request, reason)) === 'begun') begun.push(request)
  await wait(house, begun, { word: `policy-${reason}`, seconds: LOOK_SECONDS })
}

/** Nothing of the person is gone: access comes back, the ledger's entries are voided. `begun`: too late for that. */
async function letGo(
  house: House,
  { id }: ErasureRequest,
  reason: string,
): Promise<'let-go' | 'later' | 'begun'> {
  const { context } = house
  try {
    return await context.control.transaction(async (tx) => {
      const request = await getRequest(tx, id, { lock: true })
      if (request.kind !== 'retention' || (await begunIn(tx, id)).length > 0) return 'begun'
      const moved = await moveRequests(tx, 'let-go', [id], mover(house), {
        set: 'let_go = $7',
        values: [reason],
      })
      if (moved.length > 0) await letStay(tx, context, request)
      return moved.length > 0 ? 'let-go' : 'later'
    })
  } catch (error) {
    // access that can't be given back now is given back at the next look: nobody else waits for that
    if (!(error instanceof LetheError) || error.code === 'E_FENCED') throw error
    context.log.error(
      { request: id, ...errorFields(error) },
      'a person whom the policy lets go keeps no access yet',
    )
    await postpone(context.control, [id], house.claim, `clock_timestamp() + interval '1 minute'`, 'access')
    return 'later'
  }
}

/**
 * Once a call, before it is begun: the legs that nothing stops now. Who is braked or was let go since the step began is not asked
 * for again in it.
 */
export async function unbrakedLegs(
  house: House,
  store: string,
  persons: ReadonlyMap<string, Person>,
  legs: readonly Leg[],
): Promise<readonly Leg[]> {
  await lookAtStops(house)
  if (isStopped(house, store)) return []
  const under = legs.flatMap(({ requestId }) => (persons.get(requestId)?.policy ? [requestId] : []))
  if (under.length === 0) return legs
  const free = new Set(
    ids(await underPolicies(house, await getRequests(house.context.control, under), { underWay: true })),
  )
  for (const id of under) if (!free.has(id)) house.aside.add(id)
  return legs.filter(({ requestId }) => !house.aside.has(requestId))
}

/** A stop of the subject's own store stops what is destroyed for its subjects everywhere. */
export function isStopped(house: House, store: string): boolean {
  return house.stopped.has(house.subject.store) || house.stopped.has(store)
}

/** What a call for this person carries of the policy that began it. */
export async function policyOf(
  house: House,
  requests: readonly ErasureRequest[],
): Promise<Map<string, NonNullable<Person['policy']>>> {
  return new Map(
    [...(await approvedOf(house, requests))].flatMap(([id, approved]) => {
      const guard = guardOf(approved)
      return guard === null ? [] : [[id, { id: approved.id, name: approved.policy, guard }] as const]
    }),
  )
}
