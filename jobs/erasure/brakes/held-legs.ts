/**
 * A hold that is set while a step runs: it is asked for after the intent of each call is recorded, before the call goes out, and
 * between its pages. `hold add` projects first and then reads which calls have begun: so either the lane sees the hold, or
 * whoever adds it is told of the call.
 */
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import { unheldLegs } from '../cascade/held.ts'
import type { House, PersonLeg } from '../cascade/house.ts'
import { callOff, isCalledOff, unbegin } from './taken-back.ts'

/**
 * Those whose call may go out. Of the others, a first call that does not go out counts as not begun; the next step puts them on
 * hold. Where the holds can't be brought into force, no call goes out.
 */
export async function stillToCall<P extends PersonLeg>(
  house: House,
  store: string,
  pairs: readonly P[],
): Promise<readonly P[]> {
  const free = await unheld(house, store, pairs)
  if (free.length < pairs.length)
    await unbegin(
      house,
      store,
      pairs.filter((pair) => !free.includes(pair)),
    )
  // in the own store it is asked in the transaction that deletes; those whose call is called off are due again
  if (free.length === 0 || store === house.subject.store || !(await isCalledOff(house, free))) return free
  await callOff(house, store, free)
  return []
}

/** After a page: what it removed is recorded, and the others of the call go on in another one. */
export async function isAnyHeld(house: House, store: string, pairs: readonly PersonLeg[]): Promise<boolean> {
  return (await unheld(house, store, pairs)).length < pairs.length
}

async function unheld<P extends PersonLeg>(
  house: House,
  store: string,
  pairs: readonly P[],
): Promise<readonly P[]> {
  try {
    const legs = await unheldLegs(
      house,
      store,
      pairs.map(({ leg }) => leg),
    )
    return legs.length === pairs.length ? pairs : pairs.filter(({ leg }) => legs.includes(leg))
  } catch (error) {
    house.signal.throwIfAborted()
    if (!(error instanceof LetheError) || error.code !== 'E_HOLDS_BEHIND') throw error
    house.context.log.warn({ store, ...errorFields(error) }, 'no call goes out: holds are not in force')
    for (const { leg } of pairs) house.aside.add(leg.requestId)
    return []
  }
}

/** The record has the time; here it only counts that there is one. */
const begunNow = new Date(0)

/** A call has gone out for them, whatever became of it: elsewhere than in the own store, whose rows can be looked at, that counts. */
export function called<P extends PersonLeg>(house: House, store: string, pairs: readonly P[]): readonly P[] {
  if (store === house.subject.store) return pairs
  return pairs.map((pair) => ({
    ...pair,
    leg: { ...pair.leg, requestedAt: pair.leg.requestedAt ?? begunNow },
  }))
}
