/** Access is cut: columns change, sessions end. Repeating it changes nothing, and nothing that it needs is lost between. */
import { cutAccess, readAccess } from '../../../lib/data/rows/index.ts'
import { total } from '../../../lib/base/counts/index.ts'
import type { Queryable } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import { lockRequests, recordAccessEnded, type ErasureRequest } from '../../../lib/record/requests/index.ts'
import { collect, exclusiveEach, seal, together, type Opened } from './collect.ts'
import type { House } from './house.ts'
import { Paging, within } from '../brakes/paging.ts'
import type { Person, Place } from '../../../lib/data/erasers/index.ts'

/** A row that is locked for longer is passed over, and tried again later. */
const LOCK_MS = 2_000
/** Sessions of one store are ended for this long in one step (ms). */
const EMPTY_MS = 10_000
/** Items at most in one call. */
const ITEMS = 10_000

/**
 * What is changed or goes for it is kept, sealed, before it is changed or goes. False: a store of sessions did not answer or
 * refused; it holds up nobody's erasure, and the doctor knows.
 */
export async function endAccess(house: House, opened: readonly Opened[]): Promise<boolean> {
  const { access } = house.subject
  if (access.set.length + access.delete.length > 0) {
    await keep(house, opened)
    await cutRows(house, opened)
  }
  return access.stores.length === 0 || (await endSessions(house, opened))
}

/** A row that goes may be all that leads to a session elsewhere: it is sealed, and that committed, before anything goes. */
async function keep(house: House, opened: readonly Opened[]): Promise<void> {
  const { access } = house.subject
  if (access.set.length > 0) {
    const open = opened.filter(({ secrets }) => secrets.access === undefined)
    const saved = await readAccess(
      house.target,
      await house.plan([]),
      access,
      open.map(({ secrets }) => secrets.key),
    )
    open.forEach(({ secrets }, place) => (secrets.access = saved[place] ?? []))
  }
  if (access.delete.length > 0) {
    const collected = await collect(house, opened)
    opened.forEach(({ secrets }, place) => {
      secrets.ended = together(secrets.ended ?? {}, collected[place]?.identifiers ?? {})
    })
  }
  await seal(house, opened)
}

async function cutRows(house: House, opened: readonly Opened[]): Promise<void> {
  const { context, target, subject } = house
  const plan = await house.plan([])
  await context.control.transaction(async (own) => {
    // a cancel that came first keeps its access; one that comes later gives it back
    const ids = opened.map(({ request }) => request.id)
    const still = await lockRequests(own, ids, 'assessed')
    const there = opened.filter(({ request }) => still.has(request.id))
    const keys = there.map(({ secrets }) => secrets.key)
    const gone = await target.transaction((tx) => cutAccess(tx, plan, subject.access, keys), {
      lockTimeoutMs: LOCK_MS,
    })
    await record(
      own,
      there.map(({ request }) => request),
      subject.store,
      gone,
    )
  })
}

/** Sessions in other stores. One that is away, or that one person's values don't fit, holds up nobody: its leg empties it later. */
async function endSessions(house: House, opened: readonly Opened[]): Promise<boolean> {
  const collected = await collect(house, opened)
  const all = opened.map(({ request, secrets }, place): Person => ({
    requestId: request.id,
    keys: collected[place]?.keys ?? [secrets.key],
    identifiers: together(collected[place]?.identifiers ?? {}, secrets.ended ?? {}),
    retained: [],
  }))
  // nobody else is signed out
  const each = await exclusiveEach(house, all, all)
  const persons = each.flatMap(({ person, error }) => (error === undefined ? [person] : []))
  let ended = persons.length === all.length
  for (const store of house.subject.access.stores) {
    const place = house.places.find((one) => one.store === store)
    if (place === undefined) continue
    try {
      if (!(await empty(house, place, persons, opened))) ended = false
    } catch (error) {
      house.signal.throwIfAborted()
      if (!(error instanceof LetheError) || error.code === 'E_FENCED') throw error
      house.context.log.warn(
        { store, ...errorFields(error) },
        'sessions there end with their leg: the store can not be emptied at the access cut',
      )
      ended = false
    }
  }
  return ended
}

/** False: the store has still more when the time is over. */
async function empty(
  house: House,
  place: Place,
  persons: readonly Person[],
  opened: readonly Opened[],
): Promise<boolean> {
  const inTime = within(EMPTY_MS)
  const there = persons.filter((person) => place.concerns(person))
  const { bulk } = place.capabilities
  for (let from = 0; from < there.length; from += bulk) {
    const some = there.slice(from, from + bulk)
    const asked = new Set(some.map(({ requestId }) => requestId))
    const requests = opened.flatMap(({ request }) => (asked.has(request.id) ? [request] : []))
    const page = { runId: house.claim.id, fence: house.claim.fence, limit: ITEMS }
    const paging = new Paging(inTime, house.signal)
    for (;;) {
      const answer = await place.erase(some, page, house.signal)
      const gone = requests.map(() => answer.removed)
      await record(house.context.control, requests, place.store, gone, some.length)
      house.signal.throwIfAborted()
      if (!answer.more) break
      // its leg empties it later
      if (!(await paging.goesOn(total(answer.removed)))) return false
    }
  }
  return true
}

/** Adds what went of each, in their order; `shared`: a call for several doesn't say whose it was. */
async function record(
  control: Queryable,
  requests: readonly ErasureRequest[],
  store: string,
  gone: readonly Readonly<Record<string, number>>[],
  shared = 1,
): Promise<void> {
  const changed = requests.filter((request, place) => {
    const counts = { ...request.accessEnded[store]?.counts }
    const fresh = Object.entries(gone[place] ?? {}).filter(([, count]) => count > 0)
    for (const [name, count] of fresh) counts[name] = (counts[name] ?? 0) + count
    const among = Math.max(shared, request.accessEnded[store]?.shared ?? 1)
    if (fresh.length > 0) request.accessEnded = { ...request.accessEnded, [store]: { counts, shared: among } }
    return fresh.length > 0
  })
  await recordAccessEnded(control, changed)
}
