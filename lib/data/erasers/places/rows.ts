/** Rows of a PostgreSQL store as a place: by keys that the person leads to, by several plans, one for each set of retained classes. */
import { summed } from '../../../base/counts/index.ts'
import { expand, type SubjectEntry } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import { forecast, raiseFence, type Guard } from '../../rows/index.ts'
import type { SubjectRef, Verification } from '../eraser.ts'
import { postgresCapabilities, postgresEraser } from '../stores/postgres/eraser.ts'
import type { PlaceTools, PlanOf } from './tools.ts'
import { PATIENCE, type Person, type Place } from './place.ts'

/** Rows of a PostgreSQL store, by keys that the person leads to; several plans at once, one for each set of retained classes. */
/** Rows of the subject's own store. */
export function ownRows(subject: SubjectEntry, planOf: PlanOf, tools: PlaceTools): Place {
  return rows(subject.store, planOf, tools, {
    guardOf: (person) => together(ownHolds(subject), person?.policy?.guard),
    keysOf: ({ keys }) => keys,
  })
}

/** Rows of another PostgreSQL store, whose keys are made of what leads to the person. Its plan follows its map alone. */
export function linkedRows(
  store: string,
  { subject, key }: { subject: string; key: readonly string[] },
  tools: PlaceTools,
): Place {
  const planOf = async () => tools.plans.of(store, subject)
  return rows(store, planOf, tools, {
    guardOf: () => null,
    keysOf: (person) => combined(key, person),
    retains: false,
  })
}

function rows(
  store: string,
  planOf: PlanOf,
  tools: PlaceTools,
  how: {
    guardOf: (person: Person | undefined) => Guard | null
    keysOf: (person: Person) => readonly RootKey[]
    retains?: boolean
  },
): Place {
  const { claim, enter, lastLook } = tools
  const { guardOf, keysOf, retains = true } = how
  let fenced: Promise<void> | null = null
  const open = async (person: Person | undefined) => {
    const target = await tools.target(store)
    const plan = await planOf(person?.retained ?? [])
    const eraser = postgresEraser(target, {
      pseudonymKey: tools.storeKey(store),
      beforeDestruction: async (keys) => enter(store, plan, keys),
      ...(lastLook === undefined ? {} : { lastLook: async (beside) => lastLook(store, beside) }),
      guard: guardOf(person),
      retained: retains ? (person?.retained ?? []) : [],
    })
    return { target, plan, eraser }
  }
  const refs = (plan: DeletionPlan, persons: readonly Person[]): SubjectRef[] =>
    persons.flatMap((person) =>
      keysOf(person).map((key) => ({ kind: plan.subject, key, identifiers: person.identifiers })),
    )
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
      const done = await eraser.erase(refs(plan, persons), plan, page, signal)
      const owners = persons.flatMap((person, place) => keysOf(person).map(() => place))
      return {
        ...done,
        refused: (done.refused ?? []).map(({ subject, by }) => ({ subject: owners[subject] ?? subject, by })),
      }
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

/** The application's own holds, looked at again in the statement that deletes. */
function ownHolds({ holds }: SubjectEntry): Guard | null {
  if (holds.length === 0) return null
  return {
    due: 'true',
    clear: holds.map(({ name, sql }) => ({ reason: `hold:${name}`, sql })),
    values: [],
  }
}

/** Both are asked. */
function together(one: Guard | null, policy: Guard | undefined): Guard | null {
  if (policy === undefined || one === null) return policy ?? one
  return { due: policy.due, clear: [...one.clear, ...policy.clear], values: [] }
}

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
