import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Decisions', {
  E_APPROVAL_FORGED: {
    exit: 13,
    retryable: false,
    next: 'Treat it as an incident: someone changed the control database. Then decide again.',
  },
  E_STATEMENT_USED: {
    exit: 13,
    retryable: false,
    next: 'Look at what is in force now. To decide again, print the statement again and sign the new one.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
