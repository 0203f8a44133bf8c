import { defineErrors, type Codes } from '../../lib/base/errors/index.ts'

const errors = defineErrors('Retention', {
  E_ALREADY_RUNNING: {
    exit: 11,
    retryable: false,
    next: 'Look at the run that is there; decide or cancel it first.',
  },
  E_GROWTH: {
    exit: 12,
    retryable: false,
    next: 'Look at what grew, then propose again: `lethe retention run POLICY`.',
  },
  E_LIMITS: {
    exit: 12,
    retryable: false,
    next: 'If the figures are right, approve with `--override NAME` (role cto).',
  },
  E_NO_CONTACT: { exit: 12, retryable: false, next: 'Give the subject a contact in the map.' },
  E_NOTIFY: { exit: 20, retryable: true, next: 'Look at the notification channel: `lethe doctor`.' },
  E_PLAN_CHANGED: {
    exit: 12,
    retryable: false,
    next: 'Look at the new plan and propose again: `lethe retention run POLICY`.',
  },
  E_POLICY_CLOCK: {
    exit: 2,
    retryable: false,
    next: 'Give a clock that is a timestamptz, a date, or a timestamp in a declared zone.',
  },
  E_POLICY_SQL: {
    exit: 2,
    retryable: false,
    next: 'Mend the expression in the policy; `lethe retention plan POLICY` tries it.',
  },
  E_PROPOSAL_DECIDED: {
    exit: 12,
    retryable: false,
    next: 'Look at the run: `lethe runs list`; the next occurrence proposes again.',
  },
  E_VERIFY: {
    exit: 30,
    retryable: false,
    next: 'See runbooks/wrong-deletion.md for what to look at; a trigger or rule may keep rows back.',
  },
})

declare module '../../lib/base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
