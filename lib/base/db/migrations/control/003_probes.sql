-- One probe a queue: a job that only proves that something put into the queue comes out of it. Redis can look healthy
-- in every count while no worker is ever handed a job; a probe that nobody takes is the one sign that can't lie.
CREATE TABLE lethe_control.probes (
  queue text PRIMARY KEY,
  id uuid NOT NULL,
  -- when Redis first confirmed it; null: nobody can be blamed for not taking it
  sent_at timestamptz,
  answered_at timestamptz,
  last_answered_at timestamptz
);
