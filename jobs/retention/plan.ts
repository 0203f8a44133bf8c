/** The deletion plan of a policy, made from the live catalogue each time it is asked for. */
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import { draftPlan, planDeletion, type DeletionPlan, type PlanTarget } from '../../lib/data/deletion/index.ts'
import {
  sqlColumn,
  sqlTable,
  storeCatalogue,
  tableKey,
  type Catalogue,
} from '../../lib/data/datamap/index.ts'
import { ANY_HOLD, holdsCondition, type Guard } from '../../lib/data/rows/index.ts'
import type { Context } from '../context.ts'
import { planned } from '../deletion-plan.ts'

/** A plan with what its policy has to know besides. */
export interface PolicyPlan extends DeletionPlan {
  /** Table policies: the holds on the data subjects whose rows these are. Conditions over `root`, as a guard takes them. */
  above: Guard['clear']
}

/** Throws as `loadPlan`. */
export async function loadPolicyPlan(context: Context, policy: ResolvedPolicy): Promise<PolicyPlan> {
  const { plan, catalogue } = await planned(context, policy.store, planTarget(policy))
  return { ...plan, above: policy.table === undefined ? [] : await heldAbove(context, plan, catalogue) }
}

/**
 * The plan although the map has open findings, for a run that has to be closed: nothing is deleted with it. Null where the
 * map's errors leave none.
 */
export async function loadClosingPlan(context: Context, policy: ResolvedPolicy): Promise<PolicyPlan | null> {
  const { file } = context.config
  const catalogue = await storeCatalogue(await context.target(policy.store), file, policy.store)
  const { plan } = draftPlan(file, policy.store, planTarget(policy), catalogue)
  return plan === null ? null : { ...plan, above: [] }
}

/**
 * A table policy takes rows away from data subjects, so what keeps the whole subject keeps its rows here too. For each
 * subject whose plan reaches the table: a hold of any level on the subject that the row belongs to.
 */
async function heldAbove(
  context: Context,
  plan: DeletionPlan,
  catalogue: Catalogue,
): Promise<Guard['clear']> {
  const { file } = context.config
  const target = await context.target(plan.store)
  const conditions: string[] = []
  for (const [subject, entry] of Object.entries(file.subjects)) {
    if (entry.store !== plan.store) continue
    const whole = planDeletion(file, plan.store, { subject }, catalogue)
    const own = ownership(whole, plan)
    if (own === null) continue
    conditions.push(
      // `root` is the policy's row outside and the subject's row inside, where the policy's row is called `t`
      `EXISTS (SELECT FROM (SELECT root.*) AS t, LATERAL (SELECT FROM ${sqlTable(whole.root)} AS root
         WHERE (${own}) AND ${await holdsCondition(target, whole)}) AS owner)`,
    )
  }
  if (conditions.length === 0) return []
  return [
    {
      reason: 'subject-held',
      // asked first and once: without holds it is all that this costs
      sql: `${ANY_HOLD} AND (${conditions.join('\n OR ')})`,
    },
  ]
}

/** SQL: row `t` of the policy's table belongs to subject row `root`; null where the subject's plan doesn't reach it. */
function ownership(subject: DeletionPlan, policy: DeletionPlan): string | null {
  const name = tableKey(policy.root)
  const ways = subject.tables.filter((entry) => tableKey(entry.table) === name).map(({ belongs }) => belongs)
  if (tableKey(subject.root) === name)
    ways.push(
      subject.key
        .map(({ name: column }) => `${sqlColumn('t', column)} = ${sqlColumn('root', column)}`)
        .join(' AND '),
    )
  return ways.length === 0 ? null : ways.map((way) => `(${way})`).join(' OR ')
}

export function planTarget(policy: Pick<ResolvedPolicy, 'subject' | 'table'>): PlanTarget {
  if (policy.table !== undefined)
    return { table: policy.table.name, ...(policy.table.key ? { key: policy.table.key } : {}) }
  return { subject: policy.subject ?? '' }
}
