import { defineErrors, type Codes } from '../../lib/base/errors/index.ts'

const errors = defineErrors('Erasure', {
  E_NO_END: {
    exit: 30,
    retryable: false,
    next: 'Ask the other side why it goes on for ever, then `lethe erasure retry ID STORE`, or `lethe erasure accept ID STORE`.',
  },
  E_NOT_VERIFIABLE: {
    exit: 30,
    retryable: false,
    next: 'Ask the other side for a confirmation, then accept the leg by name: `lethe erasure accept ID STORE`.',
  },
  E_ROW_REFUSED: {
    exit: 12,
    retryable: true,
    next: 'Mend what the message names (a constraint, a trigger, a value that a rule of the map fails on), then `lethe erasure retry ID STORE`, or `lethe erasure accept ID STORE`.',
  },
  E_STILL_THERE: {
    exit: 30,
    retryable: false,
    next: 'It is tried again; after three times look at the other side, then `lethe erasure retry ID STORE` or `lethe erasure accept ID STORE`.',
  },
})

declare module '../../lib/base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
