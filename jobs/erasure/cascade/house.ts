/** What one step of a cascade works with: the subject's own store and every other place, each behind the one interface. */
import type { SubjectEntry } from '../../../lib/data/datamap/index.ts'
import type { DeletionPlan } from '../../../lib/data/deletion/index.ts'
import type { Database } from '../../../lib/base/db/index.ts'
import { openPlaces, type Person, type Place } from '../../../lib/data/erasers/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import type { Throttle } from '../../../lib/data/rows/index.ts'
import type { ApprovedPolicy } from '../../../lib/record/proposals/index.ts'
import type { ErasureLedger } from '../../../lib/record/erasures/index.ts'
import { refuseHoldsBehind } from '../../../lib/record/holds/index.ts'
import { paceOf, type Claim } from '../../../lib/record/ledger/index.ts'
import type { Leg } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { isBucketAway, openLedger } from '../../erasure-ledger.ts'
import { leaving } from './ledger.ts'
import { refuseTakenBack, type Intake } from '../brakes/last-look.ts'
import { plansOf, subjectOf } from '../plans.ts'

/** A leg, and the person of its request. */
export interface PersonLeg {
  leg: Leg
  person: Person
}

export interface House {
  context: Context
  /** Whose writes these are; a reader's is nobody's, since it writes nothing. */
  claim: Claim
  signal: AbortSignal
  kind: string
  subject: SubjectEntry
  target: Database
  ledger: ErasureLedger
  /** The own store first. */
  places: readonly Place[]
  plan: (retained: readonly string[]) => Promise<DeletionPlan>
  /** Set once the bucket didn't take what the ledger says: the run looks again soon. */
  bucketAway: boolean
  /** When each person was last seen to be under no hold. */
  seenFree: Map<string, number>
  /** The version of the holds under which they were seen. */
  holds: string
  /** Stores that are stopped, and policies that are paused, as last looked. */
  stopped: ReadonlySet<string>
  paused: ReadonlySet<string>
  /** Requests that this step asks for no more: their policy holds them back, or let them go. */
  aside: Set<string>
  /** Policies behind requests, by proposal. */
  approved: Map<string, ApprovedPolicy>
  /** By policy, each started when it is first asked. */
  throttles: Map<string, Throttle>
  /** What is known of the store's intake, where people take back what they asked for. */
  intake: Intake
  close(): Promise<void>
}

/** Throws what planning and `context.target` throw; a place elsewhere is opened at its first call. */
export async function openHouse(
  context: Context,
  claim: Claim,
  kind: string,
  signal: AbortSignal,
): Promise<House> {
  const { config, control, keystore } = context
  const subject = subjectOf(context, kind)
  const target = await context.target(subject.store)
  const ledger = openLedger(context)
  const throttles = new Map<string, Throttle>()
  const intake: Intake = { passed: [], due: false }
  const { places, plan, close } = await openPlaces(kind, subject, {
    map: config.file,
    stores: context.stores,
    plans: plansOf(context),
    target: async (store) => context.target(store),
    secret: (reference) => config.secret(reference),
    pace: (store, perMinute) => paceOf(control, store, perMinute),
    storeKey: (store) => keystore.pseudonymKey(store),
    redisPrefix: config.file.operations.redis_prefix,
    claim,
    enter: async (store, own, keys) =>
      ledger.enterAll(claim, () => Promise.resolve([leaving(claim, store, own, keys)])),
    lastLook: async (store, beside) => {
      await Promise.all([
        refuseHoldsBehind(control, store, beside),
        refuseTakenBack(subject.store, intake, store, beside),
      ])
    },
    without: config.file.erasure.without,
    channel: config.file.notifications.store,
  })
  return {
    context,
    claim,
    signal,
    kind,
    subject,
    target,
    ledger,
    places,
    plan,
    bucketAway: false,
    seenFree: new Map(),
    holds: '',
    intake,
    stopped: new Set(),
    paused: new Set(),
    aside: new Set(),
    approved: new Map(),
    throttles,
    close: async () => {
      ledger.close()
      await Promise.all([...throttles.values()].map(async (one) => one.close()))
      await close()
    },
  }
}

export function storesOf(places: readonly Place[]): string[] {
  return places.map(({ store }) => store)
}

/** What needs the bucket waits for it, and nothing else does; null where it is away. */
export async function unlessBucketIsAway<T>(house: House, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act()
  } catch (error) {
    if (!isBucketAway(error)) throw error
    if (!house.bucketAway)
      house.context.log.warn(
        { subject: house.kind, ...errorFields(error) },
        'nothing more is begun until the bucket has the ledger',
      )
    house.bucketAway = true
    return null
  }
}

/** Whether something goes there, so that the ledger has to name it. */
export function erasesAt({ kind, tells, excused }: Place): boolean {
  return kind !== 'search' && !tells && excused === undefined
}
