-- Whether a step brought its run further: attempts are given back by progress only.
ALTER TABLE lethe_control.steps ADD COLUMN progress boolean NOT NULL DEFAULT true;
