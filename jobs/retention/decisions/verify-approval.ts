/** Whether a decision in the record is what a verified person agreed to, asked by the process that destroys. */
import { isDeepStrictEqual } from 'node:util'
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, parseStatement, verifySsh, type Decided } from '../../../lib/people/identity/index.ts'
import { statementHash } from '../../../lib/record/decisions/index.ts'
import { getAppraisal, type Approval, type Proposal } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { deciderOf } from '../policy.ts'
import { appraisalStatement, decisionStatement } from './statements.ts'

/**
 * A row in a table is not yet an approval: the process that destroys builds the statement again, compares it with what
 * was signed, and checks the signature. A token can't be checked again once it has expired: then the statement alone is.
 * Throws E_APPROVAL_FORGED, also for a text that was erased, and what verifySsh throws.
 */
export async function verifyApproval(
  context: Context,
  policy: ResolvedPolicy,
  proposal: Proposal,
  approval: Approval,
): Promise<void> {
  const { text, signature, statement } = approval
  const facts = { proposal: proposal.id, approval: approval.id, statement }
  const forged = (what: string) =>
    new LetheError('E_APPROVAL_FORGED', {
      message: `The decision on proposal ${proposal.id} is not what a verified person agreed to: ${what}.`,
      facts,
    })
  if (text === null)
    throw new LetheError('E_APPROVAL_FORGED', {
      message: `The decision on proposal ${proposal.id} can't be checked: its signed statement ${statement} was erased.`,
      next: `See who erased it (the event text.erased), then propose again: lethe retention run ${policy.name}.`,
      facts,
    })
  if (signature === null) throw forged('it carries no signed statement')
  if (statementHash(text) !== statement) throw forged('the statement is not the one that the record names')
  const stated = parseStatement(text)
  const expected =
    approval.appraisalId === null
      ? expectedDecision(proposal, approval, stated.reason)
      : await expectedAppraisal(context, policy, approval.appraisalId, stated.reason)
  const differs = (['verb', 'object', 'facts'] as const).filter(
    (name) => !isDeepStrictEqual(stated[name], expected[name]),
  )
  if (differs.length > 0) throw forged(`the statement differs in ${differs.join(', ')}`)
  if (approval.method === 'oidc') return
  const identity = await verifySsh(text, signature, context.config.file.identities)
  if (identity.name !== approval.actor) throw forged('another person signed it')
  const { file } = context.config
  authorise(
    file,
    identity,
    approval.appraisalId === null ? 'proposal.approve' : 'appraisal.add',
    deciderOf(policy),
  )
  if (approval.overrides.length > 0) authorise(file, identity, 'proposal.override')
}

/** The reason stands nowhere else than in the statement itself. */
function expectedDecision(proposal: Proposal, approval: Approval, reason: string): Decided {
  const { outcome, overrides, extendUntil } = approval
  return decisionStatement(proposal, {
    outcome,
    overrides,
    reason,
    ...(extendUntil === null ? {} : { until: extendUntil }),
  })
}

async function expectedAppraisal(
  context: Context,
  policy: ResolvedPolicy,
  id: string,
  reason: string,
): Promise<Decided> {
  const { ceiling, validUntil, revoked } = await getAppraisal(context.control, id)
  if (revoked)
    throw new LetheError('E_APPRAISAL', {
      message: `Appraisal ${id} was revoked before the run that stood on it began to destroy.`,
      next: `Approve the next proposal by hand, or give a new appraisal: lethe retention run ${policy.name}.`,
    })
  return appraisalStatement(policy, { policy: policy.name, ceiling, validUntil, reason })
}
