import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Legal holds', {
  E_HOLDS_BEHIND: {
    exit: 12,
    retryable: true,
    next: 'Nothing: the worker projects the holds first, and tries again.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
