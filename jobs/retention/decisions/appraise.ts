/** Standing appraisals: a verified person decides once for a class of records. */
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Attested } from '../../../lib/people/identity/index.ts'
import { insertAppraisal, revokeAppraisal as revoke } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { deciderOf, findPolicy, policyVersion } from '../policy.ts'
import type { NewAppraisal } from './statements.ts'

/** One decision for a class of records, for at most twelve months (the database refuses longer). Returns its id. */
export async function addAppraisal(context: Context, appraisal: NewAppraisal, by: Attested): Promise<string> {
  const policy = findPolicy(context, appraisal.policy)
  authorise(context.config.file, by.identity, 'appraisal.add', deciderOf(policy))
  if (policy.approval !== 'standing')
    throw new LetheError('E_APPRAISAL', {
      message: `Policy ${policy.name} demands an approval for each run.`,
      next: 'Set approval: standing in the policy first, and arm it again.',
    })
  const { ceiling, validUntil } = appraisal
  return insertAppraisal(
    context.control,
    {
      policy: policy.name,
      policyVersion: policyVersion(policy),
      recordsClass: policy.records_class,
      ceiling,
      validUntil,
    },
    by,
  )
}

/** Throws E_NOT_FOUND where there is none in force. */
export async function revokeAppraisal(context: Context, id: string, by: Attested): Promise<void> {
  authorise(context.config.file, by.identity, 'appraisal.revoke')
  await revoke(context.control, id, by)
}
