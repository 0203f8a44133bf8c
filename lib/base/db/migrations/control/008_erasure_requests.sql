-- Erasure requests: one row a request, one leg for each place that holds something of the subject. No identity stands in
-- clear: the subject is a keyed hash; what leads to it is sealed (lib/base/keystore), has an expiry, and goes at the end.
CREATE TABLE lethe_control.erasure_requests (
  id uuid PRIMARY KEY,
  subject_kind text NOT NULL,
  store text NOT NULL,
  subject_hash bytea NOT NULL,
  key_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('account-closure', 'article-17', 'retention')),
  ground text NOT NULL,
  -- on whose behalf, in a word; who wrote it down, as a verified name or an application's
  requester text NOT NULL CHECK (requester IN ('subject', 'guardian', 'representative', 'staff', 'policy')),
  actor text NOT NULL,
  origin text NOT NULL CHECK (origin IN ('command-line', 'sql', 'sweep')),
  -- the row of the target's intake that this was copied from
  intake_id uuid UNIQUE,
  state text NOT NULL CHECK (state IN ('received', 'referred', 'confirmed', 'assessed', 'access-cut', 'grace', 'planned', 'erasing', 'verifying',
    'needs-attention', 'on-hold', 'completed', 'completed-with-retained', 'completed-with-left', 'refused', 'cancelled')),
  -- where a hold's release or a mended problem goes on
  resume_state text CHECK (resume_state IN ('received', 'referred', 'confirmed', 'assessed', 'access-cut', 'grace', 'planned', 'erasing', 'verifying')),
  -- what an attention or a wait is about, in a word
  waiting_for text,
  received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- the clock of the answer runs from here: receipt, or identity once it was asked for
  clock_from timestamptz NOT NULL DEFAULT clock_timestamp(),
  due_at timestamptz NOT NULL,
  extended_at timestamptz,
  -- days before the due date of which a warning went out
  warned integer[] NOT NULL DEFAULT '{}',
  grace interval NOT NULL DEFAULT '0',
  grace_until timestamptz,
  -- when the first call to cut access went out: sessions it ended don't come back with a cancel
  access_cut_at timestamptz,
  identity_method text CHECK (identity_method IN ('signed-in-session', 'emailed-link', 'staff-check', 'representative', 'policy')),
  identity_at timestamptz,
  identity_by text,
  -- the controller's reference of its instruction, where the team is a processor (Art. 28)
  instruction text,
  -- over the actor's ceiling of the day: waits for an approval
  over_ceiling boolean NOT NULL DEFAULT false,
  -- nothing of the subject was there when it was looked for
  nobody boolean NOT NULL DEFAULT false,
  -- what went at the access cut, by store: items by place, and the subjects of the calls that these are of
  access_ended jsonb NOT NULL DEFAULT '{}',
  -- classes of records that are retained; null until that was decided
  retained_classes text[],
  map_version text,
  plan_hash text,
  refusal_ground text,
  -- single-use links: hashes of their tokens
  confirm_hash bytea,
  confirm_until timestamptz,
  cancel_hash bytea,
  -- the last answer was delivered, or nobody waits for one: the channel it went through may be erased too
  answered_at timestamptz,
  sealed bytea,
  sealed_key_id text,
  sealed_until timestamptz,
  -- when a worker looks at it again; infinity: it waits for a person
  next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- a cascade that found nobody's claim newer: writes of an overtaken worker are refused by the run's fence
  run_id uuid REFERENCES lethe_control.runs (id),
  finished_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX erasure_requests_one_open ON lethe_control.erasure_requests (subject_hash, store, subject_kind)
  WHERE finished_at IS NULL;
CREATE INDEX erasure_requests_due ON lethe_control.erasure_requests (subject_kind, state, next_at, id) WHERE finished_at IS NULL;
CREATE INDEX erasure_requests_by_state ON lethe_control.erasure_requests (state, received_at DESC, id);
CREATE INDEX erasure_requests_open ON lethe_control.erasure_requests (due_at, id) WHERE finished_at IS NULL;
CREATE INDEX erasure_requests_recent ON lethe_control.erasure_requests (received_at, id);
CREATE INDEX erasure_requests_by_actor ON lethe_control.erasure_requests (actor, received_at);
CREATE INDEX erasure_requests_sealed ON lethe_control.erasure_requests (sealed_until) WHERE sealed IS NOT NULL;

CREATE TABLE lethe_control.erasure_legs (
  request_id uuid NOT NULL REFERENCES lethe_control.erasure_requests (id),
  store text NOT NULL,
  -- what kind of store it is, for people
  kind text NOT NULL,
  -- stores of the same request that are emptied first
  after text[] NOT NULL DEFAULT '{}',
  -- the answer to the person goes through it: it waits for every other leg, and for the answer
  channel boolean NOT NULL DEFAULT false,
  state text NOT NULL CHECK (state IN ('not-needed', 'pending', 'waiting', 'accepted', 'verified', 'retained', 'told', 'failed', 'accepted-as-failed')),
  next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- calls begun; recorded before the call goes out
  attempt integer NOT NULL DEFAULT 0,
  -- how often reading back found what was reported gone
  reopened integer NOT NULL DEFAULT 0,
  -- the vendor's own job, recorded before it is looked at
  job text,
  error_code text,
  error_message text,
  messages jsonb NOT NULL DEFAULT '[]',
  -- items by place: gone; kept and no longer naming the person; kept, with the link to the person cut
  counts jsonb NOT NULL DEFAULT '{}',
  pseudonymised jsonb NOT NULL DEFAULT '{}',
  detached jsonb NOT NULL DEFAULT '{}',
  -- subjects of the calls that the counts are of
  shared integer NOT NULL DEFAULT 1,
  -- a call ended without an answer: what it removed is not among the counts
  interrupted boolean NOT NULL DEFAULT false,
  remains jsonb NOT NULL DEFAULT '{}',
  retained jsonb NOT NULL DEFAULT '[]',
  requested_at timestamptz,
  accepted_at timestamptz,
  verified_at timestamptz,
  PRIMARY KEY (request_id, store)
) WITH (fillfactor = 50);
-- a leg that goes its usual way is in no index but the key's, so that each change stays on its page
CREATE INDEX erasure_legs_stuck ON lethe_control.erasure_legs (store) WHERE next_at = 'infinity';

CREATE TABLE lethe_control.erasure_receipts (
  request_id uuid PRIMARY KEY REFERENCES lethe_control.erasure_requests (id),
  receipt text NOT NULL
);

-- What the person is told: the whole message sealed until it is delivered, and gone then.
CREATE TABLE lethe_control.erasure_answers (
  request_id uuid NOT NULL REFERENCES lethe_control.erasure_requests (id),
  kind text NOT NULL CHECK (kind IN ('acknowledgement', 'confirm', 'cancel', 'extension', 'refusal', 'completion')),
  subject_kind text NOT NULL,
  sealed bytea,
  sealed_key_id text,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'not-sent', 'failed')),
  attempt integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  error_code text,
  delivered_at timestamptz,
  PRIMARY KEY (request_id, kind)
);
CREATE INDEX erasure_answers_due ON lethe_control.erasure_answers (subject_kind, next_at) WHERE state = 'waiting';

-- What joined a request that was open, as it was asked for; and, once that was raised to something stronger, as what it was
-- asked for itself. An application goes on to speak of its own id: what it may take back is decided by its own asking.
CREATE TABLE lethe_control.erasure_joined (
  -- the application's id; of a raised request its own; else one that nobody knows
  intake_id uuid PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES lethe_control.erasure_requests (id),
  kind text NOT NULL CHECK (kind IN ('account-closure', 'article-17', 'retention')),
  ground text NOT NULL,
  requester text NOT NULL CHECK (requester IN ('subject', 'guardian', 'representative', 'staff', 'policy')),
  actor text NOT NULL,
  has_grace boolean NOT NULL,
  -- the open request was raised to this
  raised boolean NOT NULL,
  received_at timestamptz NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX erasure_joined_by_request ON lethe_control.erasure_joined (request_id);
-- a raise counts for its actor's ceiling
CREATE INDEX erasure_joined_raised ON lethe_control.erasure_joined (actor, at) WHERE raised;

-- What people decided about a request: confirmed an identity, assessed a class, extended, refused, accepted a failure.
CREATE TABLE lethe_control.erasure_decisions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id uuid NOT NULL REFERENCES lethe_control.erasure_requests (id),
  verb text NOT NULL CHECK (verb IN ('request', 'confirm', 'approve', 'assess', 'instruct', 'extend', 'refuse', 'accept', 'retry', 'cancel')),
  -- the class or the store it is about
  object text,
  data jsonb NOT NULL DEFAULT '{}',
  actor text NOT NULL,
  method text NOT NULL,
  statement_hash bytea REFERENCES lethe_control.statements,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX erasure_decisions_by_request ON lethe_control.erasure_decisions (request_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.erasure_decisions
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.erasure_decisions
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();

-- A cascade's run works under several plans at once: requests differ in what was decided about them.
ALTER TABLE lethe_control.erasure_scopes ADD COLUMN variant text NOT NULL DEFAULT '';
ALTER TABLE lethe_control.erasure_scopes DROP CONSTRAINT erasure_scopes_run_id_store_key;
ALTER TABLE lethe_control.erasure_scopes ADD UNIQUE (run_id, store, variant);

-- Copies of the erasure ledger for the object-locked bucket: one immutable object a batch of entries, numbered without gaps
-- in the entries' own transaction, written in order before anything is destroyed.
CREATE TABLE lethe_control.ledger_objects (
  number bigint PRIMARY KEY,
  body text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  written_at timestamptz
);
CREATE INDEX ledger_objects_open ON lethe_control.ledger_objects (number) WHERE written_at IS NULL;
-- A sweep's entries get objects only where there is a bucket; what stood before has none until this is true.
ALTER TABLE lethe_control.erasure_scopes ADD COLUMN journalled boolean NOT NULL DEFAULT false;
-- One row, under whose lock objects get their numbers.
CREATE TABLE lethe_control.ledger_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  number bigint NOT NULL DEFAULT 0
);
INSERT INTO lethe_control.ledger_head DEFAULT VALUES;

-- A vendor's limit, shared by all workers: when the next call may go out.
CREATE TABLE lethe_control.paces (
  store text PRIMARY KEY,
  next_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The request whose person a hold was set on, where it was set by that request.
ALTER TABLE lethe_control.holds ADD COLUMN request_id uuid REFERENCES lethe_control.erasure_requests (id);
