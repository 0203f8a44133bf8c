import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Proposals', {
  E_APPRAISAL: { exit: 12, retryable: false, next: 'Look at the policy and give an appraisal that fits it.' },
  E_APPROVAL_MISSING: { exit: 13, retryable: false, next: 'Propose again: `lethe retention run POLICY`.' },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
