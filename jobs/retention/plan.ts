/** The deletion plan of a policy, made from the live catalogue each time it is asked for. */
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import { draftPlan, type DeletionPlan, type PlanTarget } from '../../lib/data/deletion/index.ts'
import { storeCatalogue } from '../../lib/data/datamap/index.ts'
import type { Context } from '../context.ts'
import { loadPlan } from '../deletion-plan.ts'

/** Throws as `loadPlan`. */
export async function loadPolicyPlan(context: Context, policy: ResolvedPolicy): Promise<DeletionPlan> {
  return loadPlan(context, policy.store, planTarget(policy))
}

/**
 * The plan although the map has open findings, for a run that has to be closed: nothing is deleted with it. Null where the
 * map's errors leave none.
 */
export async function loadClosingPlan(
  context: Context,
  policy: ResolvedPolicy,
): Promise<DeletionPlan | null> {
  const { file } = context.config
  const catalogue = await storeCatalogue(await context.target(policy.store), file, policy.store)
  return draftPlan(file, policy.store, planTarget(policy), catalogue).plan
}

export function planTarget(policy: Pick<ResolvedPolicy, 'subject' | 'table'>): PlanTarget {
  if (policy.table !== undefined)
    return { table: policy.table.name, ...(policy.table.key ? { key: policy.table.key } : {}) }
  return { subject: policy.subject ?? '' }
}
