/**
 * Who may do what with our own tables. Every table stands here once, for each role; a test fails when a migration adds
 * one without a rule. What is evidence may be added and read, never changed: by rights here, and by triggers for everyone.
 */
export const roles = ['worker', 'operator', 'auditor'] as const
export type RoleName = (typeof roles)[number]
/**
 * Privileges as GRANT takes them, by role. An operator is support staff: asks, holds, pauses, calls off. An approver is an
 * operator who decides: its role is a member of the operator's, and has `approver` on top.
 */
export type TableRights = Readonly<
  Record<RoleName, readonly string[]> & { approver?: readonly string[]; retention?: readonly string[] }
>

const read = ['SELECT']
const append = ['SELECT', 'INSERT']
const write = ['SELECT', 'INSERT', 'UPDATE']
const own = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']
// when an event came in and in which transaction is for the database to say: no sequencer finds one that lies about it
const tell = [...read, 'INSERT (run_id, type, actor, data)']

const ownOfRequests = `kind, ground, requester, state, resume_state, waiting_for, clock_from, due_at, extended_at, warned,
  grace, grace_until, identity_method, identity_at, identity_by, instruction, over_ceiling,
  confirm_hash, confirm_until, cancel_hash, answered_at, sealed, sealed_key_id, sealed_until, next_at,
  finished_at, updated_at`

/** lethe_control. */
export const controlRights: Readonly<Record<string, TableRights>> = {
  // evidence
  events: { worker: tell, operator: tell, auditor: read, retention: ['SELECT', 'DELETE'] },
  // whoever cancels a request voids its entries
  erasures: { worker: append, operator: append, auditor: read },
  erasure_scopes: { worker: [...append, 'UPDATE (verified_at, journalled)'], operator: read, auditor: read },
  evidence_log: {
    worker: [...read, 'UPDATE (size, seen, pass, pass_xact, pass_id, sequenced_at, verified)'],
    operator: [...read, 'UPDATE (locked_for)'],
    auditor: read,
  },
  evidence_entries: {
    worker: append,
    operator: read,
    auditor: read,
    retention: ['SELECT', 'UPDATE (salt)'],
  },
  evidence_tiles: { worker: write, operator: read, auditor: read },
  evidence_checkpoints: { worker: [...append, 'UPDATE (published_at)'], operator: read, auditor: read },
  evidence_cosignatures: { worker: append, operator: read, auditor: read },
  batches: { worker: append, operator: read, auditor: read },
  steps: { worker: append, operator: read, auditor: read },
  occurrences: { worker: append, operator: read, auditor: read },
  // work
  runs: {
    worker: write,
    // starts, pauses, calls off and wakes; how far a run is (phase, counters) is the worker's alone to say
    operator: [
      ...read,
      'INSERT (id, kind, queue, scope, payload, state, max_attempts, created_by)',
      'UPDATE (state, request, requested_by, next_attempt_at, enqueued_at, waiting_for, outcome, finished_at, updated_at)',
    ],
    auditor: read,
  },
  leases: { worker: write, operator: read, auditor: read },
  probes: { worker: write, operator: read, auditor: read },
  schedules: { worker: write, operator: read, auditor: read },
  workers: { worker: own, operator: read, auditor: read },
  reports: { worker: write, operator: read, auditor: read },
  // decisions: the worker proposes and carries out; it can't arm, appraise or lift a hold
  // whoever is an operator disarms, by a function (disarm_policy); what was proposed is nobody's to change but the worker's
  policies: {
    worker: read,
    operator: read,
    approver: [
      'INSERT (name, mode, armed_version, armed_by, armed_at, statement_hash, updated_at)',
      'UPDATE (mode, armed_version, armed_by, armed_at, statement_hash, updated_at)',
    ],
    auditor: read,
  },
  proposals: { worker: write, operator: read, approver: ['UPDATE (state, decided_at)'], auditor: read },
  // the worker can't decide: by a standing appraisal the database does it (approve_by_appraisal)
  approvals: {
    worker: read,
    operator: read,
    approver: [
      'INSERT (id, proposal_id, outcome, extend_until, overrides, actor, method, statement_hash, appraisal_id)',
    ],
    auditor: read,
  },
  appraisals: {
    worker: read,
    operator: read,
    // not when it was made: twelve months are counted from there
    approver: [
      'INSERT (id, policy, policy_version, records_class, ceiling_subjects, valid_until, actor, method, statement_hash)',
      'UPDATE (revoked_at, revoked_by, revocation_hash)',
    ],
    auditor: read,
  },
  holds: {
    worker: [...read, 'UPDATE (projected_at, unprojected_at)'],
    operator: [...append, 'UPDATE (projected_at, unprojected_at)'],
    approver: ['UPDATE (released_by, release_hash, released_at)'],
    auditor: read,
  },
  // whoever is an operator may stop; to let go on is an approver's
  stops: { worker: read, operator: append, approver: ['DELETE'], auditor: read },
  // what was typed: kept with a decision, and erasable; the trigger lets no other change through
  statements: {
    worker: [...read, 'UPDATE (token, token_key_id)'],
    // not when it came in, nor in which order
    operator: [...read, 'INSERT (hash, statement, signature, token, token_key_id)'],
    approver: ['UPDATE (statement, signature, token, token_key_id, erased_at)'],
    auditor: read,
  },
  // what a decision's token is verified with
  issuer_keys: { worker: write, operator: read, auditor: read },
  // erasure requests: both bring them forward; what an application decided in its own database the worker writes down
  erasure_requests: {
    worker: write,
    // all but what is for a person who decides to say (classes, a refusal) or for the worker (which plan, which run)
    operator: [...append, `UPDATE (${ownOfRequests})`],
    approver: ['UPDATE (retained_classes, refusal_ground)'],
    auditor: read,
  },
  erasure_answers: { worker: write, operator: write, auditor: [] },
  erasure_legs: { worker: write, operator: write, auditor: read },
  erasure_receipts: { worker: write, operator: read, auditor: read },
  erasure_joined: { worker: write, operator: write, auditor: read },
  // the worker's are those that applications made (method sql): no statement stands behind them
  erasure_decisions: { worker: append, operator: append, auditor: read },
  ledger_objects: { worker: write, operator: append, auditor: read },
  ledger_head: {
    worker: [...read, 'UPDATE (number)'],
    operator: [...read, 'UPDATE (number)'],
    auditor: read,
  },
  // a preview calls vendors too, at the pace that all share
  paces: { worker: write, operator: write, auditor: read },
  pgmigrations: { worker: read, operator: read, auditor: read },
}

/** Tables whose triggers refuse a change to everyone, and that the doctor looks at. */
export const appendOnlyTables = [
  'lethe_control.events',
  'lethe_control.erasures',
  'lethe_control.evidence_entries',
  'lethe_control.statements',
  'lethe_control.erasure_decisions',
]

/** lethe, in every target. */
export const targetRights: Readonly<Record<string, TableRights>> = {
  progress: { worker: write, operator: read, auditor: read },
  batches: { worker: append, operator: read, auditor: read },
  population: { worker: own, operator: read, auditor: [] },
  removing: { worker: own, operator: read, auditor: [] },
  // each sweep first makes this projection equal to the record, and the record is what the worker can't change
  holds: { worker: own, operator: own, auditor: [] },
  // projected by the command that stops or resumes a store
  stops: { worker: own, operator: own, auditor: read },
  warnings: { worker: write, operator: read, auditor: [] },
  kept_roots: { worker: own, operator: read, auditor: [] },
  // a decision to extend or preserve is carried out by the worker, from the record it can't change
  exemptions: { worker: write, operator: read, auditor: [] },
  // applications write here through lethe.request_erasure and its sisters only
  intake: { worker: write, operator: read, auditor: [] },
  pgmigrations: { worker: read, operator: read, auditor: read },
}
