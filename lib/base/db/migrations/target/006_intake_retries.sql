-- A call that can't be followed now is tried again later, and holds up no other.
ALTER TABLE lethe.intake ADD COLUMN attempts integer NOT NULL DEFAULT 0, ADD COLUMN next_at timestamptz, ADD COLUMN error_code text;
