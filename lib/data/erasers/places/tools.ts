/** What places are opened with. */
import type { Pace } from '../../../base/calls/index.ts'
import type { Database, Queryable } from '../../../base/db/index.ts'
import type { DataMap } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { StoreEntry } from '../kinds.ts'
import type { Plans } from './plans.ts'

/** The plan of a store for a set of retained classes. */
export type PlanOf = (retained: readonly string[]) => Promise<DeletionPlan>

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
  /** Asked by the transaction that deletes rows, under their locks and before the first of them goes: what it throws undoes it. */
  lastLook?: (store: string, beside: Queryable) => Promise<void>
  /** Stores that are not erased in, with the reason that the configuration answers for. */
  readonly without: Readonly<Record<string, string>>
  /** The store that answers to the person are sent through. */
  readonly channel: string | undefined
}
