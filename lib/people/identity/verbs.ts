/**
 * Which roles may do what: the one table. Proposals and appraisals of a policy are decided by the role that it names
 * (`approver_role`, records by default) or by cto. An auditor reads and decides nothing. Pausing and cancelling stand
 * outside: whoever reaches the command line may stop a deletion, since nothing is lost by it; resuming one only lets go
 * on what was decided.
 */

export const roles = ['support', 'records', 'cto', 'auditor'] as const
export type Role = (typeof roles)[number]

export const verbs = {
  'proposal.approve': ['records', 'cto'],
  'proposal.override': ['cto'],
  'policy.arm': ['records', 'cto'],
  'policy.disarm': ['support', 'records', 'cto'],
  'appraisal.add': ['records', 'cto'],
  'appraisal.revoke': ['records', 'cto'],
  // to stop needs little; to let destruction go on needs more
  'store.stop': ['support', 'records', 'cto'],
  'store.resume': ['cto'],
  'hold.add': ['support', 'records', 'cto'],
  'hold.release': ['records', 'cto'],
  'text.erase': ['records', 'cto'],
  'erasure.request': ['support', 'records', 'cto'],
  'erasure.confirm': ['support', 'records', 'cto'],
  'erasure.cancel': ['support', 'records', 'cto'],
  'erasure.retry': ['support', 'records', 'cto'],
  'erasure.instruct': ['support', 'records', 'cto'],
  'erasure.extend': ['support', 'records', 'cto'],
  // what binds the team, or lets data stay or go that somebody else decided about
  'erasure.approve': ['records', 'cto'],
  'erasure.assess': ['records', 'cto'],
  'erasure.refuse': ['records', 'cto'],
  'erasure.accept': ['records', 'cto'],
} as const satisfies Record<string, readonly Role[]>

export type DecisionVerb = keyof typeof verbs
