// what an eraser throws beside its own: E_STORE_REFUSED, E_STORE_THROTTLED, E_STORE_UNAVAILABLE
import '../../base/calls/index.ts'
import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Erasers', {
  E_STORE_WITHOUT_ERASER: {
    exit: 12,
    retryable: false,
    next: 'Wait for the eraser of that store, or take the store out of the subject in the map.',
  },
  E_TAKEN_BACK: {
    exit: 12,
    retryable: true,
    next: 'Nothing: the request is cancelled, and the others of the same call go on.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
