/** The deletion plan of a store's subject or table, made from the live catalogue each time it is asked for. */
import { loadCatalogue, type Catalogue } from '../lib/data/datamap/index.ts'
import { planDeletion, type DeletionPlan, type PlanTarget } from '../lib/data/deletion/index.ts'
import type { Context } from './context.ts'

/** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `context.target` throws. */
export async function loadPlan(context: Context, store: string, wanted: PlanTarget): Promise<DeletionPlan> {
  return (await planned(context, store, wanted)).plan
}

export async function planned(
  context: Context,
  store: string,
  wanted: PlanTarget,
): Promise<{ plan: DeletionPlan; catalogue: Catalogue }> {
  const { stores } = context.config.file
  const entry = stores[store]
  const target = await context.target(store)
  const catalogue = await loadCatalogue(target, entry?.kind === 'postgres' ? entry.schemas : [])
  return { plan: planDeletion(context.config.file, store, wanted, catalogue), catalogue }
}

/** The zone that the store declares for its timestamps without one. */
export function storeZone(context: Context, store: string): string | undefined {
  const entry = context.config.file.stores[store]
  return entry?.kind === 'postgres' ? entry.time_zone : undefined
}
