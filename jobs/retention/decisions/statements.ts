/**
 * What exactly a person signs for each decision, built in one place: the command line has it signed, the verb checks who
 * signed, and the process that destroys builds it again and compares.
 */
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import type { Decided } from '../../../lib/people/identity/index.ts'
import type { Proposal } from '../../../lib/record/proposals/index.ts'
import { policyVersion } from '../policy.ts'

export interface Decision {
  proposalId: string
  /** destroy; extend until an instant; preserve for good; reject: nothing happens, the next occurrence proposes again. */
  outcome: 'destroy' | 'extend' | 'preserve' | 'reject'
  until?: Date
  /** Names of exceeded limits that this decision overrides: rows, share, median. Needs the role cto. */
  overrides: readonly string[]
  reason: string
}

export interface NewAppraisal {
  policy: string
  /** Subjects in one run at most; a larger proposal waits for a person. */
  ceiling: number
  validUntil: Date
  reason: string
}

export function decisionStatement(proposal: Proposal, decision: Omit<Decision, 'proposalId'>): Decided {
  return {
    verb: decision.overrides.length > 0 ? 'proposal.override' : 'proposal.approve',
    object: proposal.id,
    facts: {
      policy: proposal.policy,
      policyVersion: proposal.policyVersion,
      mapVersion: proposal.mapVersion,
      planHash: proposal.planHash,
      population: proposal.population,
      populationHash: proposal.populationHash,
      outcome: decision.outcome,
      until: decision.until?.toISOString() ?? null,
      overrides: [...decision.overrides].toSorted(),
    },
    reason: decision.reason,
  }
}

export function appraisalStatement(policy: ResolvedPolicy, appraisal: NewAppraisal): Decided {
  return {
    verb: 'appraisal.add',
    object: policy.name,
    facts: {
      policyVersion: policyVersion(policy),
      recordsClass: policy.records_class,
      ceiling: appraisal.ceiling,
      validUntil: appraisal.validUntil.toISOString(),
    },
    reason: appraisal.reason,
  }
}

export function revocationStatement(appraisalId: string, reason: string): Decided {
  return { verb: 'appraisal.revoke', object: appraisalId, facts: {}, reason }
}

export function armStatement(policy: ResolvedPolicy, mode: 'observe' | 'armed', reason: string): Decided {
  return {
    verb: mode === 'armed' ? 'policy.arm' : 'policy.disarm',
    object: policy.name,
    facts: { policyVersion: policyVersion(policy) },
    reason,
  }
}
