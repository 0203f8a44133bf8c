/** `datamap check`: everything found in one store, over every subject and every table a policy works on. */
import { postgresStore, type Catalogue, type DataMap } from '../../datamap/index.ts'
import { settle, staleAcceptances } from './findings.ts'
import type { Finding } from '../plan.ts'
import { draftPlan, type PlanTarget } from '../planner.ts'
import { buildModel } from '../model/model.ts'
import { classify } from '../model/classify.ts'

/** The whole list, accepted findings with their reason; `tables`: what policies work on besides subjects. Throws nothing of its own. */
export function checkMap(
  map: DataMap,
  storeName: string,
  catalogue: Catalogue,
  tables: readonly Extract<PlanTarget, { table: string }>[] = [],
): Finding[] {
  const store = postgresStore(map, storeName)
  if (store === null) return []
  const { model, drafts } = buildModel(map, storeName, store, catalogue)
  const general = settle(map, storeName, [...drafts, ...classify(model)])
  const targets: PlanTarget[] = [...[...model.subjects.keys()].map((subject) => ({ subject })), ...tables]
  const drafted = targets.map((target) => draftPlan(map, storeName, target, catalogue))
  const known = drafted.flatMap(({ dormant }) => dormant)
  const all = [...general, ...drafted.flatMap(({ findings }) => findings)]
  return settle(
    map,
    storeName,
    [...all, ...staleAcceptances(map, storeName, [...all, ...known])].map(({ kind, on, message, mend }) => ({
      kind,
      on,
      message,
      mend,
    })),
  )
}
