/**
 * How long a call is gone on with whose answer says that there is more: within the step's time, at a bounded rate, and over
 * several steps only while reading back finds less each time. Another side that says "1 removed, more" for ever would hold up
 * everybody else.
 */
import { monotonicMs, sleep } from '../../../lib/base/clock/index.ts'
import { total } from '../../../lib/base/counts/index.ts'
import type { Person, Place } from '../../../lib/data/erasers/index.ts'
import type { LegChange, LegState } from '../../../lib/record/requests/index.ts'
import type { PersonLeg } from '../cascade/house.ts'

/** Pages that are asked for one right after the other. */
const FREE_PAGES = 10
/** Behind those, a page that brought fewer items waits for this long (ms), */
const SMALL = { items: 10, waitMs: 1_000 }
/** and any page once there were many. */
const MANY = { pages: 200, waitMs: 250 }
/** Steps between two looks; where much goes in each, a look is dear and the step can be believed for longer. */
const LOOK = { every: 3, dear: 15, items: 1_000 }
/** Looks that find no less than the one before, or could not be made, until a person is asked. */
const LOOKS = 2
const WAIT_SECONDS = 5

export class Paging {
  /** Items of all pages so far. */
  items = 0
  private pages = 0
  private readonly until: () => boolean
  private readonly signal: AbortSignal

  constructor(inTime: () => boolean, signal: AbortSignal) {
    this.until = inTime
    this.signal = signal
  }

  /** After a page that said there is more; `done`: its items. False: the next page is a later step's. */
  async goesOn(done: number): Promise<boolean> {
    this.pages += 1
    this.items += done
    const wait = this.waitMs(done)
    if (!this.until()) return false
    if (wait > 0) await sleep(wait, this.signal).catch(() => undefined)
    return this.until()
  }

  private waitMs(done: number): number {
    if (this.pages <= FREE_PAGES) return 0
    if (done < SMALL.items) return SMALL.waitMs
    return this.pages > MANY.pages ? MANY.waitMs : 0
  }
}

/** True until so many ms have passed. */
export function within(ms: number): () => boolean {
  const until = monotonicMs() + ms
  return () => monotonicMs() < until
}

/** Whether a leg stands elsewhere than before: something went, was accepted or was read back. */
export function isFurther({ state, counts = {} }: LegChange, before: LegState | undefined): boolean {
  if (state === 'failed') return false
  return state !== before || total(counts) > 0
}

/** How legs stand whose call is not through, in their order: gone on with, or before a person where nothing becomes less. */
export async function unfinished(
  place: Place,
  group: readonly PersonLeg[],
  paging: Pick<Paging, 'items'>,
  changes: readonly LegChange[],
  signal: AbortSignal,
): Promise<LegChange[]> {
  const stands = await Promise.all(group.map((pair) => standOf(place, pair, paging, signal)))
  return changes.map((change, index) => ({ ...change, ...stands[index] }))
}

async function standOf(
  place: Place,
  { leg, person }: PersonLeg,
  { items }: Pick<Paging, 'items'>,
  signal: AbortSignal,
): Promise<
  Pick<LegChange, 'state' | 'after' | 'unfinished' | 'unfinishedLeft' | 'errorCode' | 'errorMessage'>
> {
  const steps = leg.unfinished + 1
  const every = items >= LOOK.items ? LOOK.dear : LOOK.every
  const goOn = {
    state: 'pending',
    after: items >= LOOK.items ? 0 : WAIT_SECONDS * Math.min(steps, 12),
    unfinished: steps,
  } as const
  if (steps % every !== 0) return goOn
  const left = await leftOf(place, person, signal)
  const before = leg.unfinishedLeft
  if (left !== null && (before === null || left < before)) return { ...goOn, unfinishedLeft: left }
  if (steps < every * LOOKS) return goOn
  const found =
    left === null ? 'what is left there can not be read back' : `reading back finds ${left} items, as before`
  return {
    state: 'failed',
    after: null,
    unfinished: 0,
    unfinishedLeft: null,
    errorCode: 'E_NO_END',
    errorMessage: `Store ${place.store} answers every call with "removed, and there is more", and ${found}.`,
  }
}

/** Null: nobody can tell. */
async function leftOf(place: Place, person: Person, signal: AbortSignal): Promise<number | null> {
  if (!place.capabilities.verifiable) return null
  try {
    const [found] = await place.verify([person], signal)
    return found === undefined ? null : total(found.left)
  } catch {
    signal.throwIfAborted()
    return null
  }
}
