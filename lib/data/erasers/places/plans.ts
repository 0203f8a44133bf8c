/** Deletion plans by store, subject and retained classes, each made once of a catalogue that is fresh. */
import { monotonicMs } from '../../../base/clock/index.ts'
import type { Database } from '../../../base/db/index.ts'
import { storeCatalogue, type Catalogue, type DataMap } from '../../datamap/index.ts'
import {
  mapRetaining,
  planDeletion,
  subjectRoot,
  type DeletionPlan,
  type RecordClasses,
  type SubjectRoot,
} from '../../deletion/index.ts'

/** A catalogue is as fresh as a step is long. */
const FRESH_MS = 5_000

export interface PlanSource {
  readonly map: DataMap
  readonly classes: RecordClasses
  target: (store: string) => Promise<Database>
}

export interface Plans {
  /** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `target` throws. */
  of(store: string, subject: string, retained?: readonly string[]): Promise<DeletionPlan>
  /** Who is meant, while findings are open too. Throws E_MAP_FINDINGS only where the root or its key is not there. */
  root(store: string, subject: string): Promise<SubjectRoot>
}

export function openPlans({ map, classes, target }: PlanSource): Plans {
  const plans = new WeakMap<Catalogue, Map<string, DeletionPlan>>()
  const catalogues = new Map<string, { at: number; catalogue: Promise<Catalogue> }>()
  const catalogueOf = async (store: string): Promise<Catalogue> => {
    const found = catalogues.get(store)
    if (found !== undefined && monotonicMs() - found.at < FRESH_MS) return found.catalogue
    const catalogue = target(store).then(async (db) => storeCatalogue(db, map, store))
    catalogues.set(store, { at: monotonicMs(), catalogue })
    catalogue.catch(() => catalogues.delete(store))
    return catalogue
  }
  return {
    async root(store, subject) {
      try {
        return subjectRoot(map, store, subject, await catalogueOf(store))
      } catch (error) {
        catalogues.delete(store)
        throw error
      }
    },
    async of(store, subject, retained = []) {
      const catalogue = await catalogueOf(store)
      const made = plans.get(catalogue) ?? new Map<string, DeletionPlan>()
      plans.set(catalogue, made)
      const name = [subject, ...retained].join(' ')
      try {
        const plan =
          made.get(name) ?? planDeletion(mapRetaining(map, classes, retained), store, { subject }, catalogue)
        made.set(name, plan)
        return plan
      } catch (error) {
        // what was wrong with the tables may be mended by the next try
        catalogues.delete(store)
        throw error
      }
    },
  }
}
