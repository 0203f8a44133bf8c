-- Steps in a row that ended in the middle of a call whose other side had more, and what reading back found at the last look.
ALTER TABLE lethe_control.erasure_legs ADD COLUMN unfinished integer NOT NULL DEFAULT 0, ADD COLUMN unfinished_left bigint;
