-- When a warning was last tried: the attempt is recorded before the delivery, so that a crash can't send it without end.
ALTER TABLE lethe.warnings ADD COLUMN attempted_at timestamptz;
