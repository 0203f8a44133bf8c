/**
 * Every error code of Lethe: its exit code, whether trying again can help, and the mend shown when the thrower has
 * nothing more exact to say. `runbooks/errors.md` has one section a code; a test holds the two together.
 *
 * Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 10 not found, 11 leased elsewhere, 12 refused by policy or
 * hold, 13 approval or step-up missing, 20 dependency unavailable, 30 verification failed, 57 schema mismatch,
 * 130 interrupted.
 */
export interface ErrorEntry {
  exit: 1 | 2 | 3 | 10 | 11 | 12 | 13 | 20 | 30 | 57 | 130
  retryable: boolean
  mend: string
}

const entry = (exit: ErrorEntry['exit'], retryable: boolean, mend: string): ErrorEntry => ({
  exit,
  retryable,
  mend,
})

export const registry = {
  // general
  E_INTERNAL: entry(
    1,
    true,
    'Look at the log around this time; if it happens again, report it with the run id.',
  ),
  E_INTERRUPTED: entry(130, true, 'Start the command again: it goes on where it stopped.'),
  E_NOT_FOUND: entry(10, false, 'Check the id; `lethe runs list` shows what exists.'),
  E_USAGE: entry(2, false, 'See `lethe --help`.'),

  // configuration and map
  E_CONFIG: entry(2, false, 'Mend the named keys in the configuration and start again.'),
  E_CONFIG_MISSING: entry(2, false, 'Set the named variable or file.'),

  // databases
  E_DATABASE_UNAVAILABLE: entry(
    20,
    true,
    'Check the address and that the server runs; the work goes on by itself.',
  ),
  E_SCHEMA_OLD: entry(57, false, 'Run `lethe migrate`.'),
  E_SCHEMA_NEW: entry(57, false, 'Run the version of Lethe that made this schema, or a newer one.'),

  // ledger
  E_FENCED: entry(11, false, 'Nothing to do: another worker holds this run and goes on with it.'),
  E_ILLEGAL_TRANSITION: entry(12, false, 'Look at the run with `lethe runs show ID`.'),
  E_LEASED: entry(11, true, 'Wait until the lease ends, or stop the holder.'),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof registry
