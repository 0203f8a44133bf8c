/**
 * Opens every place that holds something of one kind of subject: the own store first. What a place needs of the record (a
 * ledger entry, a pace) and of the configuration (a secret, an address) is handed in, so that a drill can open the same
 * places on restored copies.
 */
import type { Pace } from '../../../base/calls/index.ts'
import type { Database } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { otherStore, type DataMap, type SubjectEntry } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { OpenedStore } from '../define.ts'
import type { StoreEntry } from '../kinds.ts'
import { openStore, storesBefore } from '../open.ts'
import { elsewhere } from './elsewhere.ts'
import { freeText } from './free-text.ts'
import { excused, unusable, type Place } from './place.ts'
import type { Plans } from './plans.ts'
import { linkedRows, ownRows, type PlanOf } from './rows.ts'

export interface PlaceTools {
  readonly map: DataMap
  /** Entries of `stores`, by name: where each is opened. */
  readonly stores: Readonly<Record<string, StoreEntry>>
  readonly plans: Plans
  /** The database of a PostgreSQL store. */
  target: (store: string) => Promise<Database>
  /** What `env:NAME` or `file:/path` stands for. */
  secret: (reference: string) => string
  /** The turns of a store's calls, shared by all workers; null: no limit of its own. */
  pace: (store: string, perMinute: number | null) => Pace
  /** A secret of one store alone: for pseudonyms there, and for ids that tell nobody whose they are. */
  storeKey: (store: string) => string
  /** Where Lethe's own keys begin in Redis: no plan may reach them. */
  readonly redisPrefix: string
  /** Whose batches they are. */
  readonly claim: { id: string; fence: bigint }
  /** Resolves once the ledger entries of these subjects are durable; nothing of them is destroyed before. */
  enter: (store: string, plan: DeletionPlan, keys: readonly RootKey[]) => Promise<void>
  /** Stores that are not erased in, with the reason that the configuration answers for. */
  readonly without: Readonly<Record<string, string>>
  /** The store that answers to the person are sent through. */
  readonly channel: string | undefined
}

export interface OpenedPlaces {
  /** The own store first. */
  readonly places: readonly Place[]
  /** The own store's plan for a set of retained classes, the same until the places are closed. */
  plan: PlanOf
  close: () => Promise<void>
}

/** Opens no connection yet; a place without credentials is there with its `problem`. */
export async function openPlaces(
  kind: string,
  subject: SubjectEntry,
  tools: PlaceTools,
): Promise<OpenedPlaces> {
  const plan = onePlan(kind, subject, tools)
  const opened: OpenedStore[] = []
  const places: Place[] = [ownRows(subject, plan, tools), ...freeText(subject, tools)]
  for (const entry of subject.other_stores) {
    const { store, linked } = otherStore(entry)
    const declared = tools.stores[store]
    if (declared === undefined) continue
    if (linked !== null) {
      places.push(linkedRows(store, linked, tools))
      continue
    }
    const reason = tools.without[store]
    if (reason !== undefined) {
      places.push(excused(store, declared.kind, reason))
      continue
    }
    const there = await openOne(store, declared, tools)
    if (there instanceof LetheError) {
      places.push(unusable(store, declared.kind, there))
      continue
    }
    opened.push(there)
    places.push({
      ...elsewhere(store, declared.kind, kind, there),
      after: storesBefore(declared, subject.store),
      channel: tools.channel === store,
    })
  }
  return {
    places,
    plan,
    close: async () => {
      await Promise.allSettled(opened.map(async (store) => store.close()))
    },
  }
}

function onePlan(kind: string, { store }: SubjectEntry, { plans }: PlaceTools): PlanOf {
  const made = new Map<string, Promise<DeletionPlan>>()
  return async (retained) => {
    const name = retained.join(' ')
    const known = made.get(name) ?? plans.of(store, kind, retained)
    made.set(name, known)
    return known
  }
}

/** The error where the configuration lacks something: other places are opened all the same. */
async function openOne(
  store: string,
  entry: StoreEntry,
  { secret, pace, storeKey, redisPrefix }: PlaceTools,
): Promise<OpenedStore | LetheError> {
  try {
    return await openStore(store, entry, {
      secret,
      pace: (perMinute) => pace(store, perMinute),
      redisPrefix,
      requestKey: storeKey(store),
    })
  } catch (error) {
    if (error instanceof LetheError && unconfigured.has(error.code)) return error
    throw error
  }
}

const unconfigured: ReadonlySet<string> = new Set(['E_CONFIG', 'E_CONFIG_MISSING'])
