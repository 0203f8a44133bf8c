-- The control database: Lethe's own record. PostgreSQL is the record; Redis only carries work.
-- No personal data stands here: a subject is a keyed hash, a hold's key is encrypted.
CREATE SCHEMA IF NOT EXISTS lethe_control;

CREATE TABLE lethe_control.leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  fence bigint NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL
);

CREATE TABLE lethe_control.workers (
  id text PRIMARY KEY,
  roles text[] NOT NULL,
  version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lethe_control.schedules (
  id text PRIMARY KEY,
  kind text NOT NULL,
  payload jsonb NOT NULL DEFAULT '{}',
  cron text NOT NULL,
  time_zone text NOT NULL DEFAULT 'UTC',
  catch_up text NOT NULL CHECK (catch_up IN ('all', 'latest', 'none')),
  enabled boolean NOT NULL DEFAULT true,
  -- every occurrence up to and including this instant has been decided
  evaluated_until timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lethe_control.runs (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  queue text NOT NULL,
  -- one active run for each kind and scope (a policy, a request)
  scope text NOT NULL,
  payload jsonb NOT NULL DEFAULT '{}',
  state text NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled', 'refused')),
  generation integer NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  attempt integer NOT NULL DEFAULT 0,
  max_attempts integer NOT NULL,
  lease_holder text,
  lease_expires_at timestamptz,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  enqueued_at timestamptz,
  waiting_for text,
  request text CHECK (request IN ('pause', 'cancel')),
  requested_by text,
  cursor jsonb NOT NULL DEFAULT '{}',
  counters jsonb NOT NULL DEFAULT '{}',
  outcome text,
  error_code text,
  error_message text,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX runs_one_active ON lethe_control.runs (kind, scope)
  WHERE state IN ('queued', 'running', 'waiting', 'paused');
CREATE INDEX runs_due ON lethe_control.runs (next_attempt_at) WHERE state IN ('queued', 'waiting');
CREATE INDEX runs_leased ON lethe_control.runs (lease_expires_at) WHERE state = 'running';
CREATE INDEX runs_recent ON lethe_control.runs (created_at);

CREATE TABLE lethe_control.occurrences (
  schedule_id text NOT NULL REFERENCES lethe_control.schedules (id),
  at timestamptz NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('run', 'skipped')),
  reason text,
  run_id uuid REFERENCES lethe_control.runs (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (schedule_id, at)
);

CREATE TABLE lethe_control.steps (
  run_id uuid NOT NULL REFERENCES lethe_control.runs (id),
  number integer NOT NULL,
  name text NOT NULL,
  fence bigint NOT NULL,
  attempt integer NOT NULL,
  note text,
  counters jsonb NOT NULL DEFAULT '{}',
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (run_id, number)
);

-- Append-only evidence. The worker's role may insert and read; the trigger refuses the rest to everyone.
CREATE TABLE lethe_control.events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id uuid REFERENCES lethe_control.runs (id),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  type text NOT NULL,
  actor text,
  data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_by_run ON lethe_control.events (run_id, id);

-- Copies of what the targets' batches recorded in their own transactions (lethe.batches), by run and number.
CREATE TABLE lethe_control.batches (
  run_id uuid NOT NULL REFERENCES lethe_control.runs (id),
  number bigint NOT NULL,
  store text NOT NULL,
  fence bigint NOT NULL,
  at timestamptz NOT NULL,
  event jsonb NOT NULL,
  PRIMARY KEY (run_id, number)
);

CREATE FUNCTION lethe_control.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'lethe_control.%: append-only, % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.events
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.events
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();

-- What an erasure applied to; entries point here so that they stay small.
CREATE TABLE lethe_control.erasure_scopes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id uuid NOT NULL REFERENCES lethe_control.runs (id),
  store text NOT NULL,
  subject_kind text NOT NULL,
  map_version text NOT NULL,
  plan_hash text NOT NULL,
  verified_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (run_id, store)
);

-- The erasure ledger: durable here before the first destructive call. Never updated: what did not happen is voided.
CREATE TABLE lethe_control.erasures (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope_id bigint NOT NULL REFERENCES lethe_control.erasure_scopes (id),
  entry text NOT NULL CHECK (entry IN ('erase', 'void', 'reinstated')),
  subject_hash bytea NOT NULL,
  key_id text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- replay looks a subject up; a run that goes on looks through its own scope
CREATE INDEX erasures_by_subject ON lethe_control.erasures (subject_hash, scope_id, id);
CREATE INDEX erasures_by_scope ON lethe_control.erasures (scope_id, subject_hash, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.erasures
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.erasures
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();
