import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Stops', {
  E_STOPPED: {
    exit: 12,
    retryable: true,
    next: 'Once it may go on: `lethe resume STORE --reason …` (role cto).',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
