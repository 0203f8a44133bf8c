/** Whether the decision on a proposal is what a verified person agreed to, who may decide it. */
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import { databaseNow } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Decided } from '../../../lib/people/identity/index.ts'
import { getAppraisal, type Approval, type Proposal } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { verifyDecision } from '../../verify-decision.ts'
import { deciderOf } from '../policy.ts'
import { appraisalStatement, decisionStatement } from './statements.ts'

/**
 * Asked by the process that destroys: it believes no row. Throws E_APPROVAL_FORGED, E_APPRAISAL, and what verifyDecision and
 * `authorise` throw.
 */
export async function verifyApproval(
  context: Context,
  policy: ResolvedPolicy,
  proposal: Proposal,
  approval: Approval,
): Promise<void> {
  const { appraisalId } = approval
  const identity = await verifyDecision(
    context,
    {
      what: `The decision on proposal ${proposal.id}`,
      statement: approval.statement,
      actor: approval.actor,
      facts: { proposal: proposal.id, approval: approval.id },
      next: `Propose again: lethe retention run ${policy.name}.`,
    },
    (reason) =>
      appraisalId === null
        ? expectedDecision(proposal, approval, reason)
        : expectedAppraisal(context, policy, proposal, { ...approval, appraisalId }, reason),
  )
  const { file } = context.config
  authorise(file, identity, appraisalId === null ? 'proposal.approve' : 'appraisal.add', deciderOf(policy))
  if (approval.overrides.length > 0) authorise(file, identity, 'proposal.override')
}

function expectedDecision(proposal: Proposal, approval: Approval, reason: string): Decided {
  const { outcome, overrides, extendUntil } = approval
  return decisionStatement(proposal, {
    outcome,
    overrides,
    reason,
    ...(extendUntil === null ? {} : { until: extendUntil }),
  })
}

/** An appraisal says nothing of one proposal: what it covers is judged here, not believed from who wrote the approval. */
async function expectedAppraisal(
  context: Context,
  policy: ResolvedPolicy,
  proposal: Proposal,
  approval: Approval & { appraisalId: string },
  reason: string,
): Promise<Decided> {
  const id = approval.appraisalId
  const { ceiling, validUntil, revoked } = await getAppraisal(context.control, id)
  if (revoked || validUntil <= (await databaseNow(context.control)))
    throw new LetheError('E_APPRAISAL', {
      message: `Appraisal ${id} ${revoked ? 'was revoked' : 'ended'} before the run that stood on it began to destroy.`,
      next: `Approve the next proposal by hand, or give a new appraisal: lethe retention run ${policy.name}.`,
    })
  if (proposal.population > ceiling || approval.outcome !== 'destroy' || approval.overrides.length > 0)
    throw new LetheError('E_APPROVAL_FORGED', {
      message: `The decision on proposal ${proposal.id} stands on appraisal ${id}, which does not cover it: up to ${ceiling} subjects, without an override.`,
      facts: { proposal: proposal.id, approval: approval.id, appraisal: id },
    })
  return appraisalStatement(policy, { policy: policy.name, ceiling, validUntil, reason })
}
