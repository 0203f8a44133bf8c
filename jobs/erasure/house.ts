/** What one step of a cascade works with: the subject's own store and every other place, each behind the one interface. */
import { summed } from '../../lib/base/counts/index.ts'
import { otherStore, type SubjectEntry, expand, type Identifiers } from '../../lib/data/datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../lib/data/deletion/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import {
  forecast,
  freeTextColumns,
  raiseFence,
  searchable,
  searchFreeText,
  type Guard,
} from '../../lib/data/rows/index.ts'
import {
  openStore,
  postgresCapabilities,
  postgresEraser,
  storesBefore,
  type OpenedStore,
  type SubjectRef,
  type Verification,
} from '../../lib/data/erasers/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { paceOf, type Claim } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import { errorFields } from '../../lib/base/log/index.ts'
import { isBucketAway, openLedger } from '../erasure-ledger.ts'
import type { ErasureLedger } from '../../lib/record/erasures/index.ts'
import { leaving } from './ledger.ts'
import { excused, PATIENCE, unusable, type Person, type Place } from './place.ts'
import { planFor, subjectOf } from './plans.ts'

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
  close(): Promise<void>
}

/**
 * Throws what `planFor` and `context.target` throw; a place elsewhere is opened at its first call. One without credentials
 * is there with its `problem`.
 */
export async function openHouse(
  context: Context,
  claim: Claim,
  kind: string,
  signal: AbortSignal,
): Promise<House> {
  const subject = subjectOf(context, kind)
  const target = await context.target(subject.store)
  const plans = new Map<string, Promise<DeletionPlan>>()
  const house: House = {
    context,
    claim,
    signal,
    kind,
    subject,
    target,
    ledger: openLedger(context),
    places: [],
    bucketAway: false,
    seenFree: new Map(),
    plan(retained) {
      const name = retained.join(' ')
      const known = plans.get(name) ?? planFor(context, subject.store, kind, retained)
      plans.set(name, known)
      return known
    },
    close: async () => {
      house.ledger.close()
      await Promise.allSettled(opened.map(async (store) => store.close()))
    },
  }
  const opened: OpenedStore[] = []
  const places: Place[] = [
    rows(house, subject.store, ownHolds(subject), house.plan, (person) => [...person.keys]),
    ...freeText(house),
  ]
  for (const entry of subject.other_stores) {
    const { store, linked } = otherStore(entry)
    const declared = context.config.file.stores[store]
    if (declared === undefined) continue
    if (linked !== null) {
      const plan = () => planFor(context, store, linked.subject)
      places.push(rows(house, store, null, plan, (person) => combined(linked.key, person)))
      continue
    }
    const reason = context.config.file.erasure.without[store]
    if (reason !== undefined) {
      places.push(excused(store, declared.kind, reason))
      continue
    }
    const there = await openStore(store, declared, {
      secret: (reference) => context.config.secret(reference),
      pace: (perMinute) => paceOf(context.control, store, perMinute),
      redisPrefix: context.config.file.operations.redis_prefix,
      requestKey: context.vault.pseudonymKey(store),
    }).catch((error: unknown) => {
      if (error instanceof LetheError && unconfigured.has(error.code)) return error
      throw error
    })
    if (there instanceof LetheError) {
      places.push(unusable(store, declared.kind, there))
      continue
    }
    opened.push(there)
    places.push({
      ...elsewhere(store, declared.kind, kind, there),
      after: storesBefore(declared, subject.store),
      channel: context.config.file.notifications.store === store,
    })
  }
  return Object.assign(house, { places })
}

/** Rows of a PostgreSQL store, by keys that the person leads to; several plans at once, one for each set of retained classes. */
function rows(
  house: House,
  store: string,
  guard: Guard | null,
  planOf: House['plan'],
  keysOf: (person: Person) => RootKey[],
): Place {
  const { context, claim } = house
  let fenced: Promise<void> | null = null
  const open = async (person: Person | undefined) => {
    const target = await context.target(store)
    const plan = await planOf(person?.retained ?? [])
    const eraser = postgresEraser(target, {
      pseudonymKey: context.vault.pseudonymKey(store),
      beforeDestruction: (keys) =>
        house.ledger.enterAll(claim, () => Promise.resolve([leaving(claim, store, plan, keys)])),
      guard,
      // a linked store's plan follows its map alone
      retained: planOf === house.plan ? (person?.retained ?? []) : [],
    })
    return { target, plan, eraser }
  }
  const refs = (plan: DeletionPlan, persons: readonly Person[]): SubjectRef[] =>
    persons.flatMap((person) => keysOf(person).map((key) => ({ kind: plan.subject, key })))
  return {
    store,
    kind: 'postgres',
    after: [],
    channel: false,
    concerns: (person) => keysOf(person).length > 0,
    capabilities: postgresCapabilities,
    tells: false,
    patience: PATIENCE,
    async probe(signal) {
      const { eraser, plan } = await open(undefined)
      await eraser.probe(plan, signal)
    },
    async locate(persons, signal) {
      const { eraser, plan } = await open(persons[0])
      return (await eraser.locate(refs(plan, persons), plan, signal)).counts
    },
    async forecast(persons) {
      const { target, plan } = await open(persons[0])
      return forecast(target, plan, persons.flatMap(keysOf))
    },
    async erase(persons, page, signal) {
      const { eraser, plan, target } = await open(persons[0])
      fenced ??= raiseFence(target, claim.id, claim.fence)
      await fenced
      return eraser.erase(refs(plan, persons), plan, page, signal)
    },
    async verify(persons, signal) {
      const { eraser, plan } = await open(persons[0])
      const found = await eraser.verify(refs(plan, persons), plan, signal)
      let from = 0
      return persons.map((person) => {
        const own = found.slice(from, (from += keysOf(person).length))
        return joined(own)
      })
    },
  }
}

/** The own store's texts, searched for identifiers that lead to one person once their rows are gone; hits go to a person. */
function freeText({ context, subject }: House): Place[] {
  const columns = freeTextColumns(context.config.file, subject.store)
  const unique = Object.entries(subject.identifiers).flatMap(([name, entry]) => (entry.unique ? [name] : []))
  if (columns.length === 0 || unique.length === 0) return []
  const valuesOf = ({ identifiers }: Person) => unique.flatMap((name) => [...(identifiers[name] ?? [])])
  return [
    {
      store: `${subject.store}:free-text`,
      kind: 'search',
      after: [subject.store],
      channel: false,
      concerns: (person) => searchable(valuesOf(person)).length > 0,
      capabilities: {
        bulk: 1000,
        ratePerMinute: null,
        reversible: true,
        verifiable: true,
        sideEffects: ['texts of others are searched, not changed'],
        irreversibleAfter: 'never: nothing is erased here',
        settleSeconds: 0,
        follows: null,
      },
      tells: false,
      patience: 1,
      probe: () => Promise.resolve(),
      locate: () => Promise.resolve({}),
      erase: () => Promise.resolve({ removed: {}, retained: [], pending: [], messages: [], more: false }),
      verify: async (persons, signal) =>
        searchFreeText(await context.target(subject.store), columns, persons.map(valuesOf), signal),
    },
  ]
}

/** The application's own holds, looked at again in the statement that deletes. */
function ownHolds({ holds }: SubjectEntry): Guard | null {
  if (holds.length === 0) return null
  return {
    due: 'true',
    clear: holds.map(({ name, sql }) => ({ reason: `hold:${name}`, sql })),
    values: [],
  }
}

function elsewhere(store: string, kind: string, subject: string, there: OpenedStore): Place {
  const refs = (persons: readonly Person[]) => {
    const known = new Map<SubjectRef, Identifiers>()
    const subjects = persons.map((person) => {
      const ref: SubjectRef = { kind: subject, key: person.keys[0] ?? [] }
      known.set(ref, person.identifiers)
      return ref
    })
    return { subjects, plan: { identifiers: (ref: SubjectRef) => known.get(ref) ?? {} } }
  }
  return {
    store,
    kind,
    after: [],
    channel: false,
    concerns: (person) => there.concerns(person.identifiers),
    capabilities: there.eraser.capabilities,
    tells: there.tells,
    patience: PATIENCE,
    probe: (signal) => there.eraser.probe(refs([]).plan, signal),
    async locate(persons, signal) {
      const { subjects, plan } = refs(persons)
      return (await there.eraser.locate(subjects, plan, signal)).counts
    },
    async erase(persons, page, signal) {
      const { subjects, plan } = refs(persons)
      const requests = persons.map(({ requestId }) => requestId)
      return there.eraser.erase(subjects, plan, { ...page, requests }, signal)
    },
    async verify(persons, signal) {
      const { subjects, plan } = refs(persons)
      return there.eraser.verify(subjects, plan, signal)
    },
  }
}

export function storesOf(places: readonly Place[]): string[] {
  return places.map(({ store }) => store)
}

const unconfigured: ReadonlySet<string> = new Set(['E_CONFIG', 'E_CONFIG_MISSING'])

/** Each combination of the templates' values is one key. */
function combined(templates: readonly string[], { identifiers }: Person): RootKey[] {
  return templates.reduce<string[][]>(
    (keys, template) => {
      const values = expand(template, identifiers)
      return keys.flatMap((key) => values.map((value) => [...key, value]))
    },
    [[]],
  )
}

function joined(found: readonly Verification[]): Verification {
  return {
    absent: found.every(({ absent }) => absent),
    left: summed(found.map(({ left }) => left)),
    retained: found.flatMap(({ retained }) => retained),
  }
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
