import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Databases', {
  E_BLOCKED_BY_REFERENCE: {
    exit: 12,
    retryable: false,
    next: 'Classify the table that still points there in the map, or move its rows; then start again.',
  },
  E_CLOCK_SKEW: {
    exit: 20,
    retryable: true,
    next: 'Bring the clocks of both database servers into step (NTP), then start again.',
  },
  E_DATABASE: {
    exit: 1,
    retryable: true,
    next: 'Look the SQLSTATE up in the server log at this time; the log has the statement, this message never does.',
  },
  E_DATABASE_LOGIN: {
    exit: 20,
    retryable: true,
    next: 'Check user, password and database name in the address, and pg_hba.conf on the server.',
  },
  E_DATABASE_PRIVILEGE: {
    exit: 12,
    retryable: false,
    next: 'Print the rights that are needed with `lethe grants --sql` and grant them.',
  },
  E_DATABASE_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check the address and that the server runs. Runs go on by themselves; repeat a command.',
  },
  E_FENCED: {
    exit: 11,
    retryable: false,
    next: 'Nothing to do: another worker holds this run and goes on with it.',
  },
  E_LOCK_TIMEOUT: {
    exit: 20,
    retryable: true,
    next: 'Find who holds the lock in pg_locks. Runs go on by themselves; repeat a command.',
  },
  E_POOLER_TRANSACTION_MODE: {
    exit: 2,
    retryable: false,
    next: 'Point the address at PostgreSQL itself, or at a pool in session mode: session settings and locks get lost here.',
  },
  E_SCHEMA_NEW: {
    exit: 57,
    retryable: false,
    next: 'Run the version of Lethe that made this schema, or a newer one.',
  },
  E_SCHEMA_OLD: { exit: 57, retryable: false, next: 'Run `lethe migrate`.' },
  E_STATEMENT_TIMEOUT: {
    exit: 20,
    retryable: true,
    next: 'Look for a missing index or a blocked session. Runs go on by themselves; repeat a command.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
