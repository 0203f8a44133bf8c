-- Subjects too large for one batch, from their first piece on: the decision is final, whichever run goes on with it.
-- The row goes with the subject, in the transaction of its last piece.
CREATE TABLE lethe.removing (
  subject_kind text NOT NULL,
  root_key text[] NOT NULL,
  run_id uuid NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject_kind, root_key)
);
