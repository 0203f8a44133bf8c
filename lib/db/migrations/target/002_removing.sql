-- Subjects too large for one batch, from their first piece on: the decision is final, whichever run goes on with it.
-- `collected` keeps the keys that collect steps found while the rows that named them were still there. Like every key,
-- they never leave the target, and the row goes with the subject.
CREATE TABLE lethe.removing (
  subject_kind text NOT NULL,
  root_key text[] NOT NULL,
  run_id uuid NOT NULL,
  collected jsonb NOT NULL DEFAULT '{}',
  started_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject_kind, root_key)
);
