/** The population of a proposal once it is decided: exempted from the policy, or forgotten. Its keys leave the target's schema with it. */
import type { Database } from '../../lib/base/db/index.ts'
import type { Approval, Proposal } from '../../lib/record/proposals/index.ts'

/** Extend until an instant, or preserve for good (null). Idempotent: the later decision stands. */
export async function exemptPopulation(
  target: Database,
  proposal: Proposal,
  approval: Pick<Approval, 'outcome' | 'extendUntil'>,
): Promise<void> {
  await target.execute(
    `INSERT INTO lethe.exemptions (policy, root_key, until, proposal_id)
     SELECT $2, root_key, $3, proposal_id FROM lethe.population WHERE proposal_id = $1
     ON CONFLICT (policy, root_key) DO UPDATE SET until = EXCLUDED.until, proposal_id = EXCLUDED.proposal_id`,
    [proposal.id, proposal.policy, approval.outcome === 'preserve' ? null : approval.extendUntil],
  )
}

/** Idempotent. */
export async function forgetPopulation(target: Database, proposalId: string): Promise<void> {
  await target.execute(`DELETE FROM lethe.population WHERE proposal_id = $1`, [proposalId])
}
