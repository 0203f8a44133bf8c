/** What the retention flow offers: its job kinds, and the verbs people use. */
import './errors.ts'

import type { JobKind } from '../kind.ts'
import { sweep } from './sweep.ts'
import { warn } from './warn.ts'

export const retentionKinds: readonly JobKind[] = [sweep, warn]

export { policyMode, setMode, type Mode, type PolicyMode } from './arm.ts'
export {
  addAppraisal,
  decide,
  refuseDecided,
  revokeAppraisal,
  type Decision,
  type NewAppraisal,
} from './decide.ts'
export { loadPolicyPlan, planTarget } from './plan.ts'
export { effectivePeriod, findPolicy, policyVersion } from './policy.ts'
export { getProposal, listProposals, trailingMedian, type Proposal } from './proposal.ts'
export { judgeLimits, preview } from './propose.ts'
export { checkExpressions } from './rules.ts'
export { getReport, renderReport, type Report } from './report.ts'
export { startSweep } from './start.ts'
export { appraisalStatement, armStatement, decisionStatement, revocationStatement } from './statements.ts'
