/** Codes that every room may need. */
import type { Codes } from './codes.ts'
import { defineErrors } from './registry.ts'

const errors = defineErrors('General', {
  E_INTERNAL: {
    exit: 1,
    retryable: true,
    next: 'Look at the log around this time; if it happens again, report it with the run id.',
  },
  E_INTERRUPTED: {
    exit: 130,
    retryable: true,
    next: 'Start the command again: it goes on where it stopped.',
  },
  E_NOT_FOUND: { exit: 10, retryable: false, next: 'Check the id; `lethe runs list` shows what exists.' },
  E_STATEMENT_EXPIRED: {
    exit: 13,
    retryable: false,
    next: 'Print the statement again, sign it, and give it back within ten minutes.',
  },
  E_USAGE: { exit: 2, retryable: false, next: 'See `lethe --help`.' },
  E_CONFIG: { exit: 2, retryable: false, next: 'Mend the named keys in the configuration and start again.' },
  E_CONFIG_MISSING: { exit: 2, retryable: false, next: 'Set the named variable or file.' },
})

declare module './codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
