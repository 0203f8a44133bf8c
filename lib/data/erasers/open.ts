/** From a store as the map declares it to its eraser. */
import type { Pace } from '../../base/calls/index.ts'
import type { OpenedStore, StoreTools, Tools } from './define.ts'
import { kindOf, type StoreEntry } from './kinds.ts'

/** Opens no connection yet. Throws E_STORE_WITHOUT_ERASER, E_CONFIG_MISSING, E_CONFIG. */
export async function openStore(name: string, entry: StoreEntry, given: StoreTools): Promise<OpenedStore> {
  let opened: OpenedStore | null = null
  let pace: Pace | null = null
  // The rate is the eraser's to say, and the eraser is made with its pace.
  const keeper = () => (pace ??= given.pace(opened?.capabilities.ratePerMinute ?? null))
  const tools: Tools = {
    ...given,
    store: name,
    pace: { turn: (signal) => keeper().turn(signal), rest: (seconds) => keeper().rest(seconds) },
  }
  opened = await kindOf(entry).open(entry, tools)
  return opened
}

/** Nothing brings a key back, so the rows go first; a cache that is purged before its origin is filled again from it. */
export function storesBefore(entry: StoreEntry, ownStore: string): string[] {
  const kind = kindOf(entry)
  const origin = kind.filledFrom(entry)
  return kind.ownRowsFirst ? [ownStore] : origin === undefined ? [] : [origin]
}
