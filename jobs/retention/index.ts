/** What the retention flow offers: its job kinds, and the verbs people use. */
import './errors.ts'

import type { JobKind } from '../kind.ts'
import { sweep } from './sweep/sweep.ts'
import { warn } from './sweep/warn.ts'

export const retentionKinds: readonly JobKind[] = [sweep, warn]

export { addAppraisal, revokeAppraisal } from './decisions/appraise.ts'
export { policyMode, setMode, type PolicyMode } from './decisions/arm.ts'
export { pausePolicy, resumePolicy, type Paused } from './decisions/pause.ts'
export { decide, refuseDecided } from './decisions/decide.ts'
export { judgeLimits } from './decisions/limits.ts'
export { loadPolicyPlan, planTarget } from './plan.ts'
export { effectivePeriod, findPolicy, policyVersion } from './policy.ts'
export { preview } from './propose.ts'
export { checkExpressions } from './rules.ts'
export { renderReport } from './report.ts'
export { startSweep } from './start.ts'
export {
  appraisalStatement,
  armStatement,
  decisionStatement,
  revocationStatement,
  type Decision,
} from './decisions/statements.ts'
