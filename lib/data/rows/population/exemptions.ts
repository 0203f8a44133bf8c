/** lethe.exemptions: roots that a decision took out of a policy, until an instant or for good. */
import { sqlLiteral } from '../../datamap/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { namesRoot } from '../batch/root-sql.ts'

/** The population of a proposal; `until` null: for good. Idempotent: the later decision stands. */
export async function exemptPopulation(
  db: Queryable,
  { proposalId, policy, until }: { proposalId: string; policy: string; until: Date | null },
): Promise<void> {
  await db.execute(
    `INSERT INTO lethe.exemptions (policy, root_key, until, proposal_id)
     SELECT $2, root_key, $3, proposal_id FROM lethe.population WHERE proposal_id = $1
     ON CONFLICT (policy, root_key) DO UPDATE SET until = EXCLUDED.until, proposal_id = EXCLUDED.proposal_id`,
    [proposalId, policy, until],
  )
}

/** SQL condition over `root`: a decision keeps it out of this policy now. */
export function exemptedCondition(plan: DeletionPlan, policy: string): string {
  const ours = `e.policy = ${sqlLiteral(policy)}`
  return `EXISTS (SELECT 1 FROM lethe.exemptions e WHERE ${ours}
    AND ${namesRoot(plan, 'e.root_key', ours)} AND (e.until IS NULL OR e.until > now()))`
}
