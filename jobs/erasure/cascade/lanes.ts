/**
 * Works off the legs that are due: one lane a place, all at once. A lane takes as many persons as its place takes in a call,
 * records that it begins, calls, and records what became of it. Killed in between, the next worker calls again: every call
 * is harmless when repeated. One that fails holds up neither the others of its call nor the other places.
 */
import { isOfOneRow } from '../../../lib/base/db/index.ts'
import { Counts, total } from '../../../lib/base/counts/index.ts'
import type { ErasePage, Person, Place, Retained } from '../../../lib/data/erasers/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import {
  beginLegs,
  dueLegs,
  recordLegs,
  type Leg,
  type LegChange,
} from '../../../lib/record/requests/index.ts'
import { settleStop } from '../../stops.ts'
import { isTakenBack } from '../brakes/last-look.ts'
import { isStopped, unbrakedLegs } from '../brakes/policy.ts'
import { called, isAnyHeld, stillToCall } from '../brakes/held-legs.ts'
import { callOff, readIntake, setAside, unbegin } from '../brakes/taken-back.ts'
import { leaveShared, sayShared } from '../brakes/shared.ts'
import { idsOf } from './held.ts'
import { storesOf, type House, type PersonLeg } from './house.ts'
import { BACKOFF_SECONDS, failed, verified } from './leg-outcome.ts'
import { isFurther, Paging, unfinished, within } from '../brakes/paging.ts'

/** Items at most in one call, so that a lane is never long without a record. */
const ITEMS = 20_000
/** A new turn begins before this at the latest. */
const STEP_MS = 20_000

/** Persons of the requests that are being erased; null: what leads to them is gone, or they are held. */
export type Persons = ReadonlyMap<string, Person>

export interface Worked {
  /** Legs that were worked on. */
  legs: number
  /** Of those, the ones that stand elsewhere than before: something went, was accepted or was read back. */
  further: number
}

/** Throws E_FENCED, and what the control database throws. */
export async function workLegs(house: House, persons: Persons): Promise<Worked> {
  const slot = within(Math.min(STEP_MS, house.context.config.file.operations.give_back_seconds * 1000))
  // once a call was called off, no further one begins before what was taken back is known
  const inTime = () => slot() && !house.signal.aborted && !house.intake.due
  const busy = new Map<string, Promise<string>>()
  const worked: Worked = { legs: 0, further: 0 }
  const work = async (place: Place, legs: readonly Leg[]) => {
    const bulk = Math.min(place.capabilities.bulk, 1000)
    for (let from = 0; from < legs.length && inTime(); from += bulk) {
      const { legs: done, further } = await turn(house, place, persons, legs.slice(from, from + bulk), inTime)
      worked.legs += done
      worked.further += further
    }
    return place.store
  }
  try {
    for (;;) {
      const idle = house.places.filter(({ store }) => !busy.has(store) && !isStopped(house, store))
      const asked = [...persons.keys()].filter((id) => !house.aside.has(id))
      const due = inTime() ? await dueLegs(house.context.control, asked, storesOf(idle)) : []
      const legs = Map.groupBy(due, ({ store }) => store)
      for (const place of idle) {
        const own = legs.get(place.store)
        if (own !== undefined) busy.set(place.store, work(place, own))
      }
      if (busy.size === 0) {
        if (!house.intake.due) return worked
        await readIntake(house)
        continue
      }
      // whoever ends first may have freed what waited for it
      busy.delete(await Promise.race(busy.values()))
    }
  } finally {
    await Promise.allSettled(busy.values())
  }
}

/** One call's worth of legs of one place. */
async function turn(
  house: House,
  place: Place,
  persons: Persons,
  due: readonly Leg[],
  inTime: () => boolean,
): Promise<Worked> {
  const { control } = house.context
  const { store, excused } = place
  const legs = await unbrakedLegs(house, store, persons, due)
  if (legs.length === 0) return { legs: 0, further: 0 }
  const begun = await beginLegs(control, house.claim, store, idsOf(legs))
  const pairs = legs.flatMap((leg): Pair[] => {
    const person = persons.get(leg.requestId)
    return person === undefined || !begun.has(leg.requestId) ? [] : [{ leg, person }]
  })
  const changes: LegChange[] = []
  const { left, unasked } = await leaveShared(house, place, persons, pairs)
  for (const [{ leg }, error] of unasked) changes.push(failed(house, leg, error))
  const call: Pair[] = []
  const read: Pair[] = []
  for (const pair of pairs) {
    const { requestId, state } = pair.leg
    if (unasked.has(pair)) continue
    if (excused !== undefined)
      changes.push({ requestId, store, state: 'accepted-as-failed', messages: [excused] })
    else if (state === 'accepted') read.push(pair)
    else if (place.concerns(pair.person)) call.push(pair)
    else changes.push({ requestId, store, state: 'not-needed' })
  }
  // whose call came to no end is called for alone: nobody else waits for it again
  const shapes = Map.groupBy(call, ({ leg, person }) =>
    JSON.stringify([
      leg.job,
      person.retained,
      person.policy?.id,
      leg.unfinished === 0 ? null : leg.requestId,
    ]),
  )
  for (const group of shapes.values()) changes.push(...(await erase(house, place, group, inTime)))
  // a place reads by one plan at a time, and what one person retains another does not
  for (const group of Map.groupBy(read, ({ person }) => JSON.stringify(person.retained)).values())
    changes.push(...(await readBack(house, place, group)))
  sayShared(changes, pairs, left)
  await recordLegs(control, house.claim, changes)
  const before = new Map(pairs.map(({ leg }) => [leg.requestId, leg.state]))
  return {
    legs: pairs.length,
    further: changes.filter((change) => isFurther(change, before.get(change.requestId))).length,
  }
}

interface Pair extends PersonLeg {
  /** What refused the deletion of something of theirs in the call just made. */
  refused?: string
}

async function erase(
  house: House,
  place: Place,
  given: readonly Pair[],
  inTime: () => boolean,
): Promise<LegChange[]> {
  let group = await stillToCall(house, place.store, given)
  if (group.length === 0) return []
  const counts = new Counts()
  const pseudonymised = new Counts()
  const detached = new Counts()
  const messages = new Set<string>()
  const said = new Map<string, Retained>()
  const refused = new Map<number, string>()
  const paging = new Paging(inTime, house.signal)
  const own = (change: Omit<LegChange, 'requestId' | 'store'>): LegChange[] =>
    group.map(({ leg }) => ({
      requestId: leg.requestId,
      store: leg.store,
      counts: counts.plain(),
      pseudonymised: pseudonymised.plain(),
      detached: detached.plain(),
      shared: group.length,
      messages: [...messages],
      ...change,
    }))
  // of whom nothing is gone, nothing is recorded
  const onlyGone = (some: readonly Pair[], change: Parameters<typeof own>[0]): LegChange[] => {
    const gone = new Set(some.map(({ leg }) => leg.requestId))
    return own(change).filter(({ requestId }) => gone.has(requestId))
  }
  const pause = async (after?: number): Promise<LegChange[]> => {
    if (place.store === house.subject.store) await unbegin(house, place.store, group)
    return own({ state: 'pending', fresh: true, ...(after === undefined ? {} : { after }) })
  }
  const jobs = [...new Set(group.flatMap(({ leg }) => (leg.job === null ? [] : leg.job.split('\n'))))]
  try {
    let page: ErasePage
    const limit = limitOf(house, group)
    do {
      const { id: runId, fence } = house.claim
      page = await place.erase(
        group.map(({ person }) => person),
        { runId, fence, limit, ...(jobs.length === 0 ? {} : { jobs }) },
        house.signal,
      )
      group = called(house, place.store, group)
      house.throttles.get(policyName(group))?.spent(total(page.removed))
      const before = counts.total + pseudonymised.total + detached.total
      counts.addAll(page.removed)
      pseudonymised.addAll(page.pseudonymised)
      detached.addAll(page.detached)
      for (const message of page.messages) messages.add(message)
      for (const one of page.retained) said.set(JSON.stringify([one.place, one.ground]), one)
      for (const { subject, by } of page.refused ?? []) refused.set(subject, by)
      // their policy's conditions turned: the next step lets go of them whose rows are all there
      if ((page.leftAlone ?? 0) > 0 && policyName(group) !== '')
        return onlyGone(await setAside(house, place.store, group), { state: 'pending', fresh: true })
      if (page.more && house.signal.aborted) return await pause()
      // what a hold stops half way is recorded; the others of the call go on in another one
      if (page.more && page.pending.length === 0 && (await isAnyHeld(house, place.store, group)))
        return await pause()
      // such as rows that another session has locked: nobody else waits for that one
      const done = counts.total + pseudonymised.total + detached.total - before
      if (page.more && page.pending.length === 0 && done === 0) return await pause(BACKOFF_SECONDS.first)
      if (page.more && page.pending.length === 0 && !(await paging.goesOn(done)))
        return await unfinished(place, group, paging, await pause(), house.signal)
    } while (page.more && page.pending.length === 0)
    if (page.pending.length > 0)
      return own({
        state: 'waiting',
        job: page.pending.map(({ job }) => job).join('\n'),
        after: Math.min(...page.pending.map(({ pollAfterSeconds }) => pollAfterSeconds)),
        fresh: true,
        errorCode: null,
        errorMessage: null,
      })
  } catch (error) {
    house.signal.throwIfAborted()
    if (isTakenBack(error)) {
      if (error instanceof LetheError && error.code === 'E_STOPPED')
        await settleStop(house.context, place.store, await house.context.target(place.store))
      return onlyGone(await callOff(house, place.store, group), { state: 'pending', fresh: true })
    }
    group = called(house, place.store, group)
    if (group.length > 1 && !isForAll(error)) return split(group, (half) => erase(house, place, half, inTime))
    return group.map(({ leg }) => failed(house, leg, error))
  }
  if (place.tells) return own({ state: 'told', shared: 1, job: null, errorCode: null, errorMessage: null })
  const taken = takenAtItsWord(house, place)
  if (!place.capabilities.verifiable && taken === undefined)
    return own({
      state: 'failed',
      after: null,
      job: null,
      errorCode: 'E_NOT_VERIFIABLE',
      errorMessage: `Store ${place.store} accepted the erasure and has no way to read it back.`,
    })
  const settleSeconds = taken === undefined ? place.capabilities.settleSeconds : 0
  // what a call for several keeps is not told apart
  const kept = group.length === 1 ? { retained: [...said.values()] } : {}
  const accepted = own({
    state: 'accepted',
    ...kept,
    fresh: true,
    job: null,
    after: settleSeconds,
    errorCode: null,
    errorMessage: null,
  })
  if (settleSeconds > 0 || taken !== undefined) return accepted
  const reported = group.map(({ leg, person }, index): Pair => {
    const by = refused.get(index)
    return { leg: { ...leg, ...kept }, person, ...(by === undefined ? {} : { refused: by }) }
  })
  const found = new Map(
    (await readBack(house, place, reported)).map((change) => [change.requestId, change] as const),
  )
  return accepted.map((change) => ({ ...change, ...found.get(change.requestId) }))
}

/** A group is of one policy, or of none. */
function policyName(group: readonly Pair[]): string {
  return group[0]?.person.policy?.name ?? ''
}

/** A policy's own ceiling for a batch holds for its requests too. */
function limitOf({ context }: House, group: readonly Pair[]): number {
  const { policies } = context.config
  const name = policyName(group)
  const most = Object.hasOwn(policies, name) ? policies[name]?.throttle.max_rows : undefined
  return Math.min(ITEMS, most ?? ITEMS)
}

/** Why nothing is read back there, where the configuration answers for that. */
function takenAtItsWord({ context }: House, { store, capabilities }: Place): string | undefined {
  return capabilities.verifiable ? undefined : context.config.file.erasure.unverified[store]
}

async function readBack(house: House, place: Place, group: readonly Pair[]): Promise<LegChange[]> {
  const taken = takenAtItsWord(house, place)
  if (taken !== undefined)
    return group.map(({ leg: { requestId, store, messages } }) => ({
      requestId,
      store,
      state: 'accepted-as-failed',
      messages: [...messages, taken],
    }))
  try {
    const found = await place.verify(
      group.map(({ person }) => person),
      house.signal,
    )
    return group.map((pair, index) => verified(place, pair, found[index]))
  } catch (error) {
    house.signal.throwIfAborted()
    if (group.length > 1 && !isForAll(error)) return split(group, (half) => readBack(house, place, half))
    // accepted stays accepted: what failed is the look
    return group.map(({ leg }) => ({ ...failed(house, leg, error), state: 'accepted' }))
  }
}

/** What may pass by itself, such as a place that is away, would fail alike for half of the persons. */
function isForAll(error: unknown): boolean {
  return error instanceof LetheError && (error.code === 'E_FENCED' || (error.retryable && !isOfOneRow(error)))
}

async function split(
  group: readonly Pair[],
  act: (half: readonly Pair[]) => Promise<LegChange[]>,
): Promise<LegChange[]> {
  const half = Math.ceil(group.length / 2)
  return [...(await act(group.slice(0, half))), ...(await act(group.slice(half)))]
}
