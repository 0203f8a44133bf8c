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
  E_MAP_FINDINGS: entry(
    12,
    false,
    'Mend each finding in the map or the database, or accept it in the map by its name with a reason.',
  ),

  // databases
  E_BLOCKED_BY_REFERENCE: entry(
    12,
    false,
    'Classify the table that still points there in the map, or move its rows; then start again.',
  ),
  E_CLOCK_SKEW: entry(
    20,
    true,
    'Bring the clocks of both database servers into step (NTP), then start again.',
  ),
  E_DATABASE: entry(
    1,
    true,
    'Look the SQLSTATE up in the server log at this time; the log has the statement, this message never does.',
  ),
  E_DATABASE_LOGIN: entry(
    20,
    true,
    'Check user, password and database name in the address, and pg_hba.conf on the server.',
  ),
  E_DATABASE_PRIVILEGE: entry(
    12,
    false,
    'Print the rights that are needed with `lethe grants --sql` and grant them.',
  ),
  E_DATABASE_UNAVAILABLE: entry(
    20,
    true,
    'Check the address and that the server runs. Runs go on by themselves; repeat a command.',
  ),
  E_LOCK_TIMEOUT: entry(
    20,
    true,
    'Find who holds the lock in pg_locks. Runs go on by themselves; repeat a command.',
  ),
  E_POOLER_TRANSACTION_MODE: entry(
    2,
    false,
    'Point the address at PostgreSQL itself, or at a pool in session mode: session settings and locks get lost here.',
  ),
  E_SCHEMA_NEW: entry(57, false, 'Run the version of Lethe that made this schema, or a newer one.'),
  E_SCHEMA_OLD: entry(57, false, 'Run `lethe migrate`.'),
  E_STATEMENT_TIMEOUT: entry(
    20,
    true,
    'Look for a missing index or a blocked session. Runs go on by themselves; repeat a command.',
  ),

  // schedules
  E_SCHEDULE: entry(
    2,
    false,
    'Mend the cron fields or the time zone: minute hour day-of-month month day-of-week.',
  ),
  E_SCHEDULE_GAP: entry(2, false, 'Use UTC, or a time of day that exists on every day of the year.'),

  // ledger
  E_FENCED: entry(11, false, 'Nothing to do: another worker holds this run and goes on with it.'),
  E_ILLEGAL_TRANSITION: entry(
    12,
    false,
    'Look at it: `lethe runs show ID` for a run, `lethe erasure status ID` for an erasure request.',
  ),
  E_LEASED: entry(11, true, 'Wait until the lease ends, or stop the holder.'),
  E_PAYLOAD: entry(
    2,
    false,
    'Start the version that created the run, or cancel it with `lethe runs cancel ID`.',
  ),
  E_SCOPE_CHANGED: entry(
    12,
    false,
    'Cancel the run; a new one proposes again under the map and plan as they are now.',
  ),

  // queue and processes
  E_HEARTBEAT: entry(20, true, 'Check operations.heartbeat_url; the work itself goes on.'),
  E_QUEUE_WEDGED: entry(
    1,
    true,
    'Nothing to do: the supervisor starts the worker again; see runbooks/alerts/queue-stuck.md if it repeats.',
  ),
  E_REDIS_FULL: entry(
    20,
    true,
    'Give Redis more memory, or raise maxmemory; the dispatcher adds what is missing by itself.',
  ),
  E_REDIS_UNAVAILABLE: entry(
    20,
    true,
    'Check LETHE_REDIS_URL and that the server runs; the dispatcher adds what is missing by itself.',
  ),
  E_RUN_LOST: entry(
    1,
    true,
    'Look at the worker logs before each loss (memory, crash); `lethe runs show ID` has the times.',
  ),

  // evidence
  E_EVIDENCE_AGED: entry(12, false, 'A proof made before the content aged out still verifies.'),
  E_EVIDENCE_BROKEN: entry(
    30,
    false,
    'Copy the control database as it is before anything else, then compare it with the last backup.',
  ),
  E_EVIDENCE_CLOCK: entry(20, true, "Bring the control database server's clock into step (NTP)."),
  E_EVIDENCE_FORMAT: entry(2, false, 'Check that the file is whole and what its name says.'),
  E_EVIDENCE_KEY: entry(
    2,
    false,
    'Make an Ed25519 key (openssl genpkey -algorithm ed25519), or give the public key as it was published.',
  ),
  E_EVIDENCE_ORIGIN: entry(
    30,
    false,
    'Compare with `evidence.origin` in the configuration: it is another log.',
  ),
  E_EVIDENCE_PENDING: entry(
    11,
    true,
    'Wait a minute; `lethe evidence status` says whether the log moves and heads are signed.',
  ),
  E_EVIDENCE_SIGNATURE: entry(
    30,
    false,
    'Check with the public keys as they were published; none of them fitting, it is not from this log.',
  ),
  E_EVIDENCE_WITNESS: entry(
    20,
    true,
    'Nothing: it is asked again with the next head. If it stays away, tell whoever runs the witness.',
  ),
  E_EVIDENCE_WITNESS_REFUSED: entry(
    12,
    false,
    'Compare evidence.witnesses with what whoever runs the witness has of the log: address, origin and keys.',
  ),

  // object storage
  E_BUCKET_LOCK: entry(
    12,
    false,
    'Make a bucket with Object Lock enabled and name that one: it can only be enabled when a bucket is made.',
  ),
  E_BUCKET_UNAVAILABLE: entry(
    20,
    true,
    'Check the address, the credentials and their rights; what waits is written once it answers.',
  ),

  // other stores and processors
  E_NOT_VERIFIABLE: entry(
    30,
    false,
    'Ask the other side for a confirmation, then accept the leg by name: `lethe erasure accept ID STORE`.',
  ),
  E_SEALED_GONE: entry(
    1,
    false,
    'Ask for the erasure again: `lethe erasure request`. What was erased so far stands in the receipt of this one.',
  ),
  E_STILL_THERE: entry(
    30,
    false,
    'It is tried again; after three times look at the other side, then `lethe erasure retry ID STORE` or `lethe erasure accept ID STORE`.',
  ),
  E_STORE_REFUSED: entry(
    12,
    false,
    'Give Lethe the rights that the eraser of this store needs, and check what the map names there.',
  ),
  E_STORE_THROTTLED: entry(
    20,
    true,
    'Wait, or raise the limit at the other side. Erasures go on by themselves.',
  ),
  E_STORE_UNAVAILABLE: entry(
    20,
    true,
    'Check the address and that the other side answers. Erasures go on by themselves.',
  ),

  // keystore
  E_KEYSTORE_BUSY: entry(
    11,
    true,
    'Wait for the other rotation; if none runs, remove the .next file: it holds nothing that is in use.',
  ),
  E_KEYSTORE_CIPHER: entry(1, false, 'Restore the keystore that sealed the value, or enter the value again.'),
  E_KEYSTORE_EXISTS: entry(12, false, 'Nothing to do; a new key is added with `lethe keystore rotate`.'),
  E_KEYSTORE_INVALID: entry(2, false, 'Restore the keystore from its backup.'),
  E_KEYSTORE_KEY_UNKNOWN: entry(
    2,
    false,
    'Restore the keystore that has this key: without it the erasure ledger can not be replayed.',
  ),
  E_KEYSTORE_MISSING: entry(
    2,
    false,
    'Point LETHE_KEYSTORE at the keystore, or make one with `lethe keystore create` (only for a new installation).',
  ),
  E_KEYSTORE_MODE: entry(2, false, 'Run `chmod 600` on the file; if others could read it, rotate its keys.'),

  // identity
  E_IDENTITY_MISSING: entry(
    13,
    false,
    'Give --ssh-key FILE (or LETHE_SSH_KEY), --signature FILE, or --oidc-token-file FILE (or LETHE_OIDC_TOKEN).',
  ),
  E_IDENTITY_UNKNOWN: entry(
    13,
    false,
    "Add the public key or the token's subject to an identity in the configuration, or sign with the key that is there.",
  ),
  E_ISSUER_UNAVAILABLE: entry(
    20,
    true,
    'Check oidc.issuer and that this machine reaches it; an SSH key works without it.',
  ),
  E_ROLE_MISSING: entry(13, false, 'Ask someone who has the role.'),
  E_SECOND_FACTOR: entry(
    13,
    false,
    'Sign with a FIDO key (ssh-keygen -t ed25519-sk), or with a token whose sign-in used a second factor.',
  ),
  E_SIGNATURE_INVALID: entry(
    13,
    false,
    'Print the statement again and sign exactly those bytes: ssh-keygen -Y sign -n lethe.',
  ),
  E_SSH_KEYGEN: entry(
    20,
    true,
    'Install OpenSSH 8.2 or newer (the package openssh-client), so that ssh-keygen is in PATH.',
  ),
  E_SSH_SIGN: entry(
    13,
    false,
    'Check the file, its passphrase, or that the agent holds the key: ssh-keygen -Y sign -n lethe -f FILE.',
  ),
  E_STATEMENT_EXPIRED: entry(
    13,
    false,
    'Print the statement again, sign it, and give it back within ten minutes.',
  ),
  E_STATEMENT_MISMATCH: entry(
    13,
    false,
    'Give the same arguments as when the statement was printed; if the object changed since, look at it and sign again.',
  ),
  E_TOKEN_INVALID: entry(
    13,
    false,
    'Sign in again and take a fresh token for the audience in oidc.audience.',
  ),

  // notifications
  E_NOTIFY_CREDENTIALS: entry(20, true, 'Check the credentials in notifications: the channel refuses them.'),
  E_NOTIFY_LOG: entry(
    12,
    false,
    'Set notifications.channel to webhook or smtp: a log line tells nobody, so it is no delivered warning.',
  ),
  E_NOTIFY_REFUSED: entry(
    12,
    false,
    'The channel refuses this recipient for good; mend the address in the application.',
  ),
  E_NOTIFY_UNAVAILABLE: entry(
    20,
    true,
    'Check that the channel answers; undelivered warnings are sent again.',
  ),

  // retention
  E_ALREADY_RUNNING: entry(11, false, 'Look at the run that is there; decide or cancel it first.'),
  E_APPRAISAL: entry(12, false, 'Look at the policy and give an appraisal that fits it.'),
  E_APPROVAL_FORGED: entry(
    13,
    false,
    'Treat it as an incident: someone changed the control database. Then propose again.',
  ),
  E_APPROVAL_MISSING: entry(13, false, 'Propose again: `lethe retention run POLICY`.'),
  E_GROWTH: entry(12, false, 'Look at what grew, then propose again: `lethe retention run POLICY`.'),
  E_HOLD_KEY: entry(2, false, 'See `lethe hold add --help` for what each level needs.'),
  E_IDENTIFIER: entry(2, false, 'Correct the value where it is stored, or give the right identifier.'),
  E_LIMITS: entry(12, false, 'If the figures are right, approve with `--override NAME` (role cto).'),
  E_NO_CONTACT: entry(12, false, 'Give the subject a contact in the map.'),
  E_NOTIFY: entry(20, true, 'Look at the notification channel: `lethe doctor`.'),
  E_PLAN_CHANGED: entry(12, false, 'Look at the new plan and propose again: `lethe retention run POLICY`.'),
  E_POLICY_CLOCK: entry(
    2,
    false,
    'Give a clock that is a timestamptz, a date, or a timestamp in a declared zone.',
  ),
  E_POLICY_SQL: entry(2, false, 'Mend the expression in the policy; `lethe retention plan POLICY` tries it.'),
  E_PROPOSAL_DECIDED: entry(
    12,
    false,
    'Look at the run: `lethe runs list`; the next occurrence proposes again.',
  ),
  E_STORE_WITHOUT_ERASER: entry(
    12,
    false,
    'Wait for the eraser of that store, or take the store out of the subject in the map.',
  ),
  E_VERIFY: entry(
    30,
    false,
    'See runbooks/wrong-deletion.md for what to look at; a trigger or rule may keep rows back.',
  ),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof registry
