/** The deletion plan of a store's subject or table, made from the live catalogue each time it is asked for. */
import { postgresStore, storeCatalogue } from '../lib/data/datamap/index.ts'
import { planDeletion, type DeletionPlan, type PlanTarget } from '../lib/data/deletion/index.ts'
import type { Context } from './context.ts'

/** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `context.target` throws. */
export async function loadPlan(context: Context, store: string, wanted: PlanTarget): Promise<DeletionPlan> {
  const { file } = context.config
  const catalogue = await storeCatalogue(await context.target(store), file, store)
  return planDeletion(file, store, wanted, catalogue)
}

/** The zone that the store declares for its timestamps without one. */
export function storeZone(context: Context, store: string): string | undefined {
  return postgresStore(context.config.file, store)?.time_zone
}
