/**
 * Brings due requests as far as they go without destroying anything: identity → assessment → access cut → grace → plan. A
 * thousand at a time; each change is one statement for all that make it.
 */
import { databaseNow, refuserOf } from '../../../lib/base/db/index.ts'
import type { DeletionPlan } from '../../../lib/data/deletion/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import {
  dueRequests,
  legsOf,
  lockRequests,
  makeLegs,
  markAccessCut,
  moveRequests,
  openSecrets,
  postpone,
  sealSecrets,
  type ErasureRequest,
  type RequestState,
} from '../../../lib/record/requests/index.ts'
import { endAccess } from './access.ts'
import { unbraked } from '../brakes/policy.ts'
import { takeBack } from '../brakes/taken-back.ts'
import { acknowledge, offerCancel } from './answers.ts'
import { asAssessed } from './assessed.ts'
import { collectEach, unreadableOf, withFormer, type Unreadable } from './collect.ts'
import { classesIn, goingOf, ids, isOfOne, mover, readable, variantOf } from './going.ts'
import { resumeReleased, withoutHolds } from './held.ts'
import { unlessBucketIsAway, type House } from './house.ts'
import { sayProblem } from './leg-outcome.ts'
import { classesOf } from '../plans.ts'

const BULK = 1000
const forever = `'infinity'`

/** Returns how many requests moved. */
export async function advance(house: House): Promise<number> {
  const states = order.map(([state]) => state)
  let moved = 0
  for (;;) {
    house.signal.throwIfAborted()
    house.seenFree.clear()
    const due = await dueRequests(house.context.control, house.kind, states, BULK)
    const standing = Map.groupBy(await readable(house, due), ({ state }) => state)
    let done = 0
    for (const [state, act] of order) {
      const some = standing.get(state) ?? []
      if (some.length === 0) continue
      house.signal.throwIfAborted()
      const on = (await unlessBucketIsAway(house, () => act(house, some))) ?? []
      for (const [next, more] of Map.groupBy(on, (request) => request.state))
        standing.set(next, [...(standing.get(next) ?? []), ...more])
      done += on.length
    }
    moved += done
    if (due.length < BULK || done === 0) return moved
  }
}

/** Brings requests on, and returns those that moved as they stand now; the others wait for something. */
type Act = (house: House, due: readonly ErasureRequest[]) => Promise<readonly ErasureRequest[]>
/** In the order in which a request passes them, so that one call brings it all the way. */
const order: readonly (readonly [RequestState, Act])[] = [
  ['on-hold', resumeReleased],
  ['received', confirmKnown],
  ['confirmed', assessByPolicy],
  ['assessed', cut],
  ['access-cut', waitOrPlan],
  ['grace', endGrace],
  ['planned', begin],
]

async function confirmKnown(
  house: House,
  due: readonly ErasureRequest[],
): Promise<readonly ErasureRequest[]> {
  const { control, config } = house.context
  const by = mover(house)
  const uninstructed = due.filter(
    (request) => config.file.erasure.role === 'processor' && request.instruction === null,
  )
  const rest = due.filter((request) => !uninstructed.includes(request))
  const known = rest.filter((request) => request.identityMethod !== null)
  const unknown = rest.filter((request) => request.identityMethod === null)
  await acknowledge(house.context, due)
  await postpone(control, ids(unknown), house.claim, forever, 'identity')
  await moveRequests(control, 'refer', ids(uninstructed), by, { next: forever, waitingFor: 'instruction' })
  return moveRequests(control, 'confirm', ids(known), by)
}

/** What the policy decides for every class needs no person; a class that asks does. */
async function assessByPolicy(
  house: House,
  due: readonly ErasureRequest[],
): Promise<readonly ErasureRequest[]> {
  const { control, config } = house.context
  const { classes } = config.file.erasure
  const own = classesOf(house.context, await house.plan([]))
  const asked = own.filter((name) => classes[name]?.decision === 'ask')
  const undecided = due.filter((request) => asked.length > 0 && request.retainedClasses === null)
  const decided = due.filter((request) => !undecided.includes(request))
  await postpone(control, ids(undecided), house.claim, forever, 'assessment')
  const retained = own.filter((name) => classes[name]?.decision === 'retain')
  return moveRequests(control, 'assess', ids(decided), mover(house), {
    set: `retained_classes = coalesce(r.retained_classes, $7::text[])`,
    values: [retained],
  })
}

/** Nobody signs in as this person from here on. A hold does not stop that: it can be given back, and nothing of theirs is lost. */
async function cut(house: House, due: readonly ErasureRequest[]): Promise<readonly ErasureRequest[]> {
  const free = await unbraked(house, due)
  if (free.length === 0) return []
  await markAccessCut(house.context.control, ids(free))
  return cutSome(house, free)
}

/** One whose row is locked or refused is found by halves, waits, and holds up nobody else. */
async function cutSome(house: House, some: readonly ErasureRequest[]): Promise<ErasureRequest[]> {
  const { context } = house
  try {
    const ended = await endAccess(
      house,
      some.map((request) => ({ request, secrets: openSecrets(context.keystore, request) })),
    )
    // who is erased now has a leg that empties the store later; who would keep their sessions for a grace period waits
    const going = some.filter((request) => ended || !request.hasGrace)
    await waitForAccess(
      house,
      some.filter((request) => !going.includes(request)),
    )
    return await moveRequests(context.control, 'cut', ids(going), mover(house))
  } catch (error) {
    house.signal.throwIfAborted()
    if (!isOfOne(error)) throw error
    if (some.length > 1) {
      const half = Math.ceil(some.length / 2)
      return [...(await cutSome(house, some.slice(0, half))), ...(await cutSome(house, some.slice(half)))]
    }
    context.log.error({ requests: ids(some), ...errorFields(error) }, 'access could not be cut')
    await passOver(house, some, error)
    return []
  }
}

/** It is tried again, and says what refused; an expression of the map that fails on the person's row needs a person. */
async function passOver(house: House, some: readonly ErasureRequest[], error: LetheError): Promise<void> {
  if (error.code === 'E_LOCK_TIMEOUT') return waitForAccess(house, some)
  for (const request of some) {
    const why = await unreadableOf(house, openSecrets(house.context.keystore, request))
    if (why === null) await waitForAccess(house, [request], `access:${refuserOf(error)}`)
    else await attendUnreadable(house, request, why)
  }
}

async function waitForAccess(
  house: House,
  requests: readonly ErasureRequest[],
  waitingFor = 'access',
): Promise<void> {
  const next = `clock_timestamp() + interval '1 minute'`
  await postpone(house.context.control, ids(requests), house.claim, next, waitingFor)
}

const GRACE_END = `coalesce(r.grace_until, CASE WHEN r.kind = 'article-17' THEN r.received_at ELSE clock_timestamp() END + r.grace)`

async function waitOrPlan(house: House, due: readonly ErasureRequest[]): Promise<readonly ErasureRequest[]> {
  const free = await withoutHolds(house, due)
  const waiting = free.filter((request) => request.hasGrace)
  const waited = await moveRequests(house.context.control, 'wait', ids(waiting), mover(house), {
    // the grace of an account closure runs from the cut; what was cut to fit the month stays so
    set: `grace_until = ${GRACE_END}`,
    next: GRACE_END,
    waitingFor: 'grace',
  })
  await offerCancel(house.context, waited)
  return plan(
    house,
    free.filter((request) => !request.hasGrace),
  )
}

/** One that is looked at before its end was woken for a hold: it is held at once, or its grace goes on. */
async function endGrace(house: House, due: readonly ErasureRequest[]): Promise<readonly ErasureRequest[]> {
  const { control } = house.context
  const now = await databaseNow(control)
  const over = due.filter(({ graceUntil }) => graceUntil === null || graceUntil <= now)
  const running = await withoutHolds(
    house,
    due.filter((request) => !over.includes(request)),
  )
  await postpone(control, ids(running), house.claim, 'r.grace_until', 'grace')
  return plan(house, over)
}

/** Collects and seals what leads to each person, and makes the legs. What led there before a hold or another map counts on. */
async function plan(house: House, due: readonly ErasureRequest[]): Promise<readonly ErasureRequest[]> {
  const { context } = house
  const free = await withoutHolds(house, due)
  if (free.length === 0) return []
  const { found: readableOnes, unreadable } = await collectEach(
    house,
    free.map((request) => ({ request, secrets: openSecrets(context.keystore, request) })),
  )
  for (const { one, why } of unreadable) await attendUnreadable(house, one.request, why)
  const opened = readableOnes.map(({ one }) => one)
  const present: string[] = []
  for (const {
    one: { request, secrets },
    collected: found,
  } of readableOnes) {
    if (found.present) present.push(request.id)
    secrets.identifiers = await withFormer(house, found, secrets)
    secrets.keys = found.keys.map((key) => [...key])
    secrets.contact = found.contact
  }
  const planned: ErasureRequest[] = []
  for (const [variant, some] of Map.groupBy(opened, ({ request }) => variantOf(request))) {
    const deletion = await planOf(house, variant)
    const own = ids(some.map(({ request }) => request))
    if (deletion === null) {
      const why = { next: forever, waitingFor: 'map-findings' }
      await moveRequests(context.control, 'attend', own, mover(house), why)
      continue
    }
    const moved = await context.control.transaction(async (tx) => {
      await sealSecrets(
        tx,
        context.keystore,
        some.map(({ request, secrets }) => ({ requestId: request.id, secrets })),
        context.config.file.erasure.keep_identifiers,
      )
      const done = await moveRequests(tx, 'plan', own, mover(house), {
        set: `map_version = $7, plan_hash = $8, nobody = NOT r.id = ANY ($9::uuid[])`,
        values: [deletion.mapVersion, deletion.hash, present],
      })
      await makeLegs(tx, ids(done), house.places)
      return done
    })
    planned.push(...moved)
  }
  return planned
}

/** Nothing is erased of a person whom not all that leads to them is known of. */
async function attendUnreadable(
  house: House,
  request: ErasureRequest,
  { expression }: Unreadable,
): Promise<void> {
  await moveRequests(house.context.control, 'attend', [request.id], mover(house), {
    next: forever,
    waitingFor: `identifier:${expression}`,
  })
}

/** Null where the map doesn't fit what was decided to stay: such a request needs a person, and holds up nobody else. */
async function planOf(house: House, variant: string): Promise<DeletionPlan | null> {
  try {
    return await house.plan(classesIn(variant))
  } catch (error) {
    if (variant !== '' && error instanceof LetheError && error.code === 'E_MAP_FINDINGS') return null
    throw error
  }
}

/** The ledger's entries first; then calls that destroy may go out. A map that changed since is planned anew. */
async function begin(house: House, due: readonly ErasureRequest[]): Promise<readonly ErasureRequest[]> {
  const { context } = house
  await takeBack(
    house,
    due.some(({ kind }) => kind === 'retention'),
  )
  const free = await asAssessed(
    house,
    await callable(house, await unbraked(house, await withoutHolds(house, due))),
  )
  const ready: ErasureRequest[] = []
  for (const [variant, some] of Map.groupBy(free, variantOf)) {
    const deletion = await planOf(house, variant)
    const same = some.filter(
      (request) => request.planHash === deletion?.hash && request.mapVersion === deletion.mapVersion,
    )
    await moveRequests(
      context.control,
      'attend',
      ids(some.filter((request) => !same.includes(request))),
      mover(house),
      { next: forever, waitingFor: 'plan-changed' },
    )
    ready.push(...same)
  }
  if (ready.length === 0) return []
  await house.ledger.enterAll(house.claim, async (tx) => {
    // whoever takes theirs back from here on waits for these entries, and voids them
    const still = await lockRequests(tx, ids(ready), 'planned')
    return goingOf(
      house,
      ready.filter(({ id }) => still.has(id)),
    )
  })
  return moveRequests(context.control, 'erase', ids(ready), mover(house), {
    set: 'run_id = $7',
    values: [house.claim.id],
  })
}

/** Those whose every place can be called, but for what a named person accepted to leave; the others come before a person. */
async function callable(house: House, requests: readonly ErasureRequest[]): Promise<ErasureRequest[]> {
  const broken = new Map(
    house.places.flatMap((place) => (place.problem === undefined ? [] : [[place.store, place]])),
  )
  if (broken.size === 0) return [...requests]
  const { control } = house.context
  const open = (await legsOf(control, ids(requests))).filter(
    ({ store, state }) => broken.has(store) && state !== 'accepted-as-failed',
  )
  for (const [store, legs] of Map.groupBy(open, (leg) => leg.store)) {
    await sayProblem(house.context, house.claim, broken.get(store), legs)
    await moveRequests(
      control,
      'attend',
      legs.map(({ requestId }) => requestId),
      mover(house),
      { next: forever, waitingFor: `unusable:${store}` },
    )
  }
  return requests.filter(({ id }) => open.every(({ requestId }) => requestId !== id))
}
