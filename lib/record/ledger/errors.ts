import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Ledger', {
  E_ILLEGAL_TRANSITION: {
    exit: 12,
    retryable: false,
    next: 'Look at it: `lethe runs show ID` for a run, `lethe erasure status ID` for an erasure request.',
  },
  E_LEASED: { exit: 11, retryable: true, next: 'Wait until the lease ends, or stop the holder.' },
  E_PAYLOAD: {
    exit: 2,
    retryable: false,
    next: 'Start the version that created the run, or cancel it with `lethe runs cancel ID`.',
  },
  E_RUN_LOST: {
    exit: 1,
    retryable: true,
    next: 'Look at the worker logs before each loss (memory, crash); `lethe runs show ID` has the times.',
  },
  E_SCOPE_CHANGED: {
    exit: 12,
    retryable: false,
    next: 'Cancel the run; a new one proposes again under the map and plan as they are now.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
