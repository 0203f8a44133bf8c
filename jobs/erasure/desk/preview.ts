/** What an erasure would do, before anybody asks for it: reads only. */
import { collectIdentifiers, heldAmong, type Fate } from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { newId } from '../../../lib/base/clock/index.ts'
import type { Context } from '../../context.ts'
import { openHouse } from '../cascade/house.ts'
import { planTombstones, type PlannedTombstone } from '../cascade/tombstones.ts'
import { classesOf, planFor, subjectOf, wantedOf } from '../plans.ts'

export interface Preview {
  planHash: string
  mapVersion: string
  /** Whether a row of the subject is there. */
  present: boolean
  /** Rows that were merged into this subject's and go with it. */
  merged: number
  /** `held`, `minimum:TABLE`, or null: nothing keeps it. */
  keptBack: string | null
  places: {
    store: string
    kind: string
    /** Items by place; null: it did not answer, and `problem` says why. */
    counts: Readonly<Record<string, number>> | null
    /** What would become of this person's rows now, table by table; null: no rows are kept there. */
    rows: Fate[] | null
    problem: string | null
    sideEffects: readonly string[]
    irreversibleAfter: string
    follows: string | null
    needed: boolean
  }[]
  /** Tables of the own store that the map retains rows in, with the ground; whether any of this person's stays: see `rows`. */
  retained: { table: string; ground: string }[]
  /** Rows written once the keys are shredded. */
  tombstones: PlannedTombstone[]
  classes: { name: string; decision: string; ground: string | null }[]
  /** How many values lead elsewhere, by identifier; the values are not shown. */
  identifiers: Readonly<Record<string, number>>
  notCovered: readonly string[]
}

/** `key` by its one text (resolveSubject). Throws what planning throws; a vendor that is away is told in its place. */
export async function previewErasure(
  context: Context,
  kind: string,
  key: readonly string[],
): Promise<Preview> {
  const subject = subjectOf(context, kind)
  const { classes } = context.config.file.erasure
  const own = classesOf(context, await planFor(context, subject.store, kind))
  const retainedClasses = own.filter((name) => classes[name]?.decision === 'retain')
  const plan = await planFor(context, subject.store, kind, retainedClasses)
  const target = await context.target(subject.store)
  const [found] = await collectIdentifiers(target, plan, [key], wantedOf(subject))
  if (found === undefined) throw new LetheError('E_INTERNAL', { message: 'Nothing was collected.' })
  const words = await heldAmong(target, plan, found.keys)
  const signal = new AbortController().signal
  const house = await openHouse(context, { id: newId(), fence: 0n }, kind, signal)
  try {
    const person = {
      requestId: '',
      keys: found.keys,
      identifiers: found.identifiers,
      retained: retainedClasses,
    }
    const places: Preview['places'] = []
    for (const place of house.places) {
      const needed = place.concerns(person)
      const { sideEffects, irreversibleAfter, follows } = place.capabilities
      const told = { store: place.store, kind: place.kind, sideEffects, irreversibleAfter, follows, needed }
      try {
        const counts = needed ? await place.locate([person], signal) : {}
        const rows = needed ? ((await place.forecast?.([person])) ?? null) : null
        places.push({ ...told, counts, rows, problem: null })
      } catch (error) {
        if (!(error instanceof LetheError)) throw error
        places.push({ ...told, counts: null, rows: null, problem: `${error.code}: ${error.message}` })
      }
    }
    const tables = context.config.file.tables[subject.store] ?? {}
    return {
      planHash: plan.hash,
      mapVersion: plan.mapVersion,
      present: found.present,
      merged: found.keys.length - 1,
      keptBack: words.find((word) => word === 'held') ?? words.find((word) => word !== null) ?? null,
      places,
      retained: plan.tables
        .filter(({ action }) => action === 'retain')
        .map(({ table }) => {
          const name = `${table.schema}.${table.table}`
          const rule = tables[name]
          return {
            table: name,
            ground: rule?.retain?.ground ?? classes[rule?.class ?? '']?.ground ?? 'the map says so',
          }
        }),
      tombstones: await planTombstones(target, plan, subject),
      classes: own.map((name) => ({
        name,
        decision: classes[name]?.decision ?? 'erase',
        ground: classes[name]?.ground ?? null,
      })),
      identifiers: Object.fromEntries(
        Object.entries(found.identifiers).map(([name, values]) => [name, values.length]),
      ),
      // the plan speaks of its own store; an erasure reaches the others
      notCovered: plan.notCovered.filter(
        (text) => !house.places.some(({ store }) => text.startsWith(`store ${store}: `)),
      ),
    }
  } finally {
    await house.close()
  }
}
