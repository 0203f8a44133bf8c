/** The deletion plan of a policy, made from the live catalogue each time it is asked for. */
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import { loadCatalogue, planDeletion, type DeletionPlan, type PlanTarget } from '../../lib/datamap/index.ts'
import { LetheError } from '../../lib/errors/index.ts'
import type { Context } from '../context.ts'

/** Throws E_MAP_FINDINGS with the whole list, E_NOT_FOUND, and what `context.target` throws. */
export async function loadPlan(context: Context, store: string, wanted: PlanTarget): Promise<DeletionPlan> {
  const { stores } = context.config.file
  const entry = stores[store]
  const target = await context.target(store)
  const catalogue = await loadCatalogue(target, entry?.kind === 'postgres' ? entry.schemas : [])
  return planDeletion(context.config.file, store, wanted, catalogue)
}

/** Throws E_STORE_WITHOUT_ERASER too: a subject that is also in a store Lethe can't erase in yet is not half erased. */
export async function loadPolicyPlan(context: Context, policy: ResolvedPolicy): Promise<DeletionPlan> {
  const others =
    policy.subject === undefined ? [] : (context.config.file.subjects[policy.subject]?.other_stores ?? [])
  if (others.length > 0)
    throw new LetheError('E_STORE_WITHOUT_ERASER', {
      message: `Policy ${policy.name}: subject ${policy.subject} is also in ${others.join(', ')}, where Lethe can't erase yet.`,
      facts: { policy: policy.name, stores: others },
    })
  return loadPlan(context, policy.store, planTarget(policy))
}

export function planTarget(policy: Pick<ResolvedPolicy, 'subject' | 'table'>): PlanTarget {
  if (policy.table !== undefined)
    return { table: policy.table.name, ...(policy.table.key ? { key: policy.table.key } : {}) }
  return { subject: policy.subject ?? '' }
}

/** The zone that the store declares for its timestamps without one. */
export function storeZone(context: Context, store: string): string | undefined {
  const entry = context.config.file.stores[store]
  return entry?.kind === 'postgres' ? entry.time_zone : undefined
}
