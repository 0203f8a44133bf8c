/** What retention proposes, who decided about it, which policies are armed, and what was reported. */
import './errors.ts'

export {
  approvalOf,
  approvalsInForce,
  approvalsOfRun,
  approveByAppraisal,
  insertApproval,
  type Approval,
  type RunApproval,
} from './approvals.ts'
export { appraisalsInForce, getAppraisal, insertAppraisal, revokeAppraisal } from './appraisals.ts'
export { policiesBehind } from './behind.ts'
export { armedVersion, armingOf, armingsInForce, writeMode, type Mode } from './policies.ts'
export {
  approvedPolicies,
  countWaiting,
  getProposal,
  insertProposal,
  keepGuard,
  listProposals,
  lostProposals,
  proposalsOfRun,
  runsDecided,
  setProposalState,
  trailingMedian,
  type ApprovedPolicy,
  type LimitVerdict,
  type Proposal,
  type RunProposal,
} from './proposals.ts'
export { getReport, storeReport, type Report, type StoredReport } from './reports.ts'
