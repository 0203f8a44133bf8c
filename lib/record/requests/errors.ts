import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Erasure requests', {
  E_SEALED_GONE: {
    exit: 1,
    retryable: false,
    next: 'Ask for the erasure again: `lethe erasure request`. What was erased so far stands in the receipt of this one.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
