-- The small schema that every target database carries: what must commit together with the rows it describes.
-- Row keys stand here and nowhere else; they never leave the target.
CREATE SCHEMA IF NOT EXISTS lethe;

-- One row a run: the fence that a worker must hold. Where the work stands is the sum of its batches.
CREATE TABLE lethe.progress (
  run_id uuid PRIMARY KEY,
  fence bigint NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- The event of each batch, committed with its rows; the control ledger copies it by run and number.
CREATE TABLE lethe.batches (
  run_id uuid NOT NULL,
  number bigint NOT NULL,
  fence bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event jsonb NOT NULL,
  PRIMARY KEY (run_id, number)
);

-- What a proposal found. A root that was removed is marked erased in the same transaction; its key leaves this table once
-- its absence was read back.
CREATE TABLE lethe.population (
  proposal_id uuid NOT NULL,
  ordinal bigint NOT NULL,
  root_key text[] NOT NULL,
  clock_at timestamptz,
  weight bigint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'locked', 'removing', 'erased', 'skipped', 'blocked')),
  reason text,
  PRIMARY KEY (proposal_id, ordinal)
);
CREATE INDEX population_open ON lethe.population (proposal_id, state, ordinal) WHERE state <> 'pending';

-- Projection of the holds recorded in control, so that the deleting statement itself can check them.
CREATE TABLE lethe.holds (
  id uuid PRIMARY KEY,
  level text NOT NULL CHECK (level IN ('row', 'subject', 'table', 'tenant')),
  subject_kind text,
  table_name text,
  key text[],
  kind text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX holds_by_key ON lethe.holds (level, subject_kind, table_name, key);

-- Warnings sent before an inactivity purge; tied to the clock value they were sent for, so that new activity voids them.
CREATE TABLE lethe.warnings (
  policy text NOT NULL,
  root_key text[] NOT NULL,
  clock_at timestamptz NOT NULL,
  days integer NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  delivered_at timestamptz,
  error_code text,
  PRIMARY KEY (policy, root_key, clock_at, days)
);

-- Roots that could not go because rows are kept: pseudonymised until the last ground ends (null: until nothing names them).
CREATE TABLE lethe.kept_roots (
  subject_kind text NOT NULL,
  root_key text[] NOT NULL,
  until timestamptz,
  ground text NOT NULL,
  run_id uuid NOT NULL,
  pseudonymised_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject_kind, root_key)
);

-- Decisions that took a root out of a policy: extended until a date, or preserved (until is null).
CREATE TABLE lethe.exemptions (
  policy text NOT NULL,
  root_key text[] NOT NULL,
  until timestamptz,
  proposal_id uuid NOT NULL,
  PRIMARY KEY (policy, root_key)
);
