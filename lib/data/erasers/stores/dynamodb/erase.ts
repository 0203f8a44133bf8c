/** One call of `erase`: at most so many items, and whatever is refused or throttled holds up nothing else. */
import { Counts } from '../../../../base/counts/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { ErasePage } from '../../eraser.ts'
import { slices } from '../../../../base/slices/index.ts'
import { throttledError, type Session } from './ask.ts'
import { findPages, readPage, type Item, type Page } from './find.ts'
import type { Lookup, Lookups } from './lookups.ts'
import { BATCH, removeItems, type Removal } from './remove.ts'

/** Calls that delete at once. */
const WRITES = 4
/** How often a partition is still tried once another in the same call has used our patience up. */
const TIRED = 2

/**
 * What is left alone for the rest of the call, with its place and why: a throttled partition whoever leads to it, and
 * what one lookup finds in a partition that refuses it.
 */
type Aside = Map<string, { place: string; reason: string }>

const THROTTLED = 'throttled'

export async function eraseItems(session: Session, wanted: Lookups, limit: number): Promise<ErasePage> {
  const state = { session, aside: new Map() as Aside }
  const removed = new Counts()
  const seen = new Set<string>()
  let batch: Item[] = []
  let unvisited = false

  const flush = async () => {
    const some = batch.filter(({ lookup, partition }) => !isAside(state.aside, lookup, partition))
    batch = []
    const calls = slices(some, BATCH).map((items) => removeItems(state.session, items))
    // All are waited for, also where one of them fails: nothing goes on behind the caller's back.
    const ended = await Promise.allSettled(calls)
    for (const call of ended) {
      if (call.status === 'rejected') throw call.reason
      setAside(state.aside, call.value)
      for (const { lookup } of call.value.removed) removed.add(lookup.place.name)
    }
    tire()
  }
  // Each partition has its own throttle, but a table has one too: we don't wait for every subject in turn.
  const isBusy = () => [...state.aside.values()].some(({ reason }) => reason === THROTTLED)
  const tire = () => {
    const tries = isBusy() ? Math.min(session.patience.tries, TIRED) : session.patience.tries
    state.session = { ...session, patience: { ...session.patience, tries } }
  }
  const read = async (lookup: Lookup, next?: Page['next']) => {
    if (isAside(state.aside, lookup, lookup.partition)) return null
    try {
      return await readPage(state.session, lookup, next)
    } catch (error) {
      const reason = reasonOf(error)
      leaveAlone(state.aside, lookup, lookup.partition, reason)
      tire()
      return null
    }
  }

  search: for await (const page of findPages(wanted.lookups, read)) {
    for (const item of page.items) {
      if (seen.has(item.id) || isAside(state.aside, item.lookup, item.partition)) continue
      if (removed.total + batch.length >= limit) await flush()
      if (removed.total >= limit) {
        unvisited = true
        break search
      }
      // BatchWriteItem refuses a key that it is given twice.
      seen.add(item.id)
      batch.push(item)
      if (batch.length === BATCH * WRITES) await flush()
    }
  }
  await flush()
  const busy = isBusy()
  // Whoever is told "more" comes back at once: only where this call got somewhere.
  if (busy && removed.total === 0) throw throttledError(session, 'all that was left to delete')
  return {
    removed: removed.plain(),
    retained: [],
    pending: [],
    messages: messagesOf(state.aside, wanted.unfit),
    more: unvisited || busy,
  }
}

function setAside(aside: Aside, { refused, busy }: Removal): void {
  for (const { item, reason } of refused) leaveAlone(aside, item.lookup, item.partition, refusal(reason))
  for (const { lookup, partition } of busy) leaveAlone(aside, lookup, partition, THROTTLED)
}

function leaveAlone(aside: Aside, lookup: Lookup, partition: string, reason: string): void {
  const id = reason === THROTTLED ? partition : `${lookup.id} ${partition}`
  aside.set(id, { place: lookup.place.name, reason })
}

function isAside(aside: Aside, lookup: Lookup, partition: string): boolean {
  return aside.has(partition) || aside.has(`${lookup.id} ${partition}`)
}

function refusal(reason: unknown): string {
  return `refused by DynamoDB (${String(reason)})`
}

/** Rethrows what is not about one partition. */
function reasonOf(error: unknown): string {
  if (error instanceof LetheError && error.code === 'E_STORE_THROTTLED') return THROTTLED
  if (error instanceof LetheError && error.code === 'E_STORE_REFUSED') return refusal(error.facts['reason'])
  throw error
}

function messagesOf(aside: Aside, unfit: Lookups['unfit']): string[] {
  const alone = new Counts()
  for (const { place, reason } of aside.values()) alone.add(`of ${place} left alone: ${reason}`)
  return [
    ...alone.sentences((count, what) => `${count} lookup${count === 1 ? '' : 's'} ${what}.`),
    ...[...unfit].map(
      ([place, { size }]) =>
        `${size} subject${size === 1 ? ' has' : 's have'} a value that can't be a key of ${place}.`,
    ),
  ]
}
