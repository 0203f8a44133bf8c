-- What a policy hands over to erasure requests stays under that policy's guard and brakes; and one switch stops a store.

-- The policy's conditions as they were approved, as SQL over the root: asked again as long as nothing of a person is gone.
ALTER TABLE lethe_control.proposals ADD COLUMN guard jsonb;
-- SHA-256 over the ordinals and keys of the population, made in the target once the proposal waits: part of what is signed.
ALTER TABLE lethe_control.proposals ADD COLUMN population_hash text;

-- The proposal that made the request; null: a person's own.
ALTER TABLE lethe_control.erasure_requests ADD COLUMN proposal_id uuid REFERENCES lethe_control.proposals (id);
-- Why the policy that began it let the person go, in a word.
ALTER TABLE lethe_control.erasure_requests ADD COLUMN let_go text;
CREATE INDEX erasure_requests_by_proposal ON lethe_control.erasure_requests (proposal_id) WHERE proposal_id IS NOT NULL;
UPDATE lethe_control.erasure_requests r SET proposal_id = p.id
FROM lethe_control.proposals p WHERE r.kind = 'retention' AND r.instruction = 'proposal:' || p.id;

-- What stands still: a store, by a signed decision, and a policy, by whoever reaches the command line.
CREATE TABLE lethe_control.stops (
  scope text NOT NULL CHECK (scope IN ('store', 'policy')),
  name text NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  method text NOT NULL,
  statement_hash bytea REFERENCES lethe_control.statements,
  PRIMARY KEY (scope, name)
);
