-- Retention: which policy may destroy, what was proposed, who decided, what is held.
CREATE TABLE lethe_control.policies (
  name text PRIMARY KEY,
  mode text NOT NULL DEFAULT 'observe' CHECK (mode IN ('observe', 'armed')),
  -- the version that was armed; another version observes until it is armed too
  armed_version text,
  armed_by text,
  armed_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lethe_control.proposals (
  id uuid PRIMARY KEY,
  run_id uuid NOT NULL REFERENCES lethe_control.runs (id),
  policy text NOT NULL,
  policy_version text NOT NULL,
  map_version text NOT NULL,
  plan_hash text NOT NULL,
  store text NOT NULL,
  cutoff timestamptz NOT NULL,
  population bigint NOT NULL,
  rows jsonb NOT NULL,
  excluded jsonb NOT NULL,
  oldest timestamptz,
  newest timestamptz,
  limits jsonb NOT NULL DEFAULT '[]',
  state text NOT NULL CHECK (state IN ('observed', 'waiting', 'approved', 'rejected', 'expired', 'executed', 'cancelled')),
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  decided_at timestamptz
);
CREATE INDEX proposals_by_policy ON lethe_control.proposals (policy, created_at);

CREATE TABLE lethe_control.approvals (
  id uuid PRIMARY KEY,
  proposal_id uuid NOT NULL REFERENCES lethe_control.proposals (id),
  outcome text NOT NULL CHECK (outcome IN ('destroy', 'extend', 'preserve', 'reject')),
  extend_until timestamptz,
  overrides text[] NOT NULL DEFAULT '{}',
  reason text NOT NULL,
  actor text NOT NULL,
  method text NOT NULL,
  -- the exact bytes that were signed and the signature, so that anyone can check them again; null for a standing appraisal
  statement text,
  signature text,
  appraisal_id uuid,
  at timestamptz NOT NULL DEFAULT now()
);

-- A standing appraisal: one decision for a class of records, with a ceiling, for at most twelve months.
CREATE TABLE lethe_control.appraisals (
  id uuid PRIMARY KEY,
  policy text NOT NULL,
  policy_version text NOT NULL,
  records_class text NOT NULL,
  ceiling_subjects bigint NOT NULL,
  valid_until timestamptz NOT NULL,
  reason text NOT NULL,
  actor text NOT NULL,
  method text NOT NULL,
  statement text NOT NULL,
  signature text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz,
  revoked_by text,
  CHECK (valid_until <= created_at + interval '12 months')
);

-- The worker's only way to record a decision: a standing appraisal in force that covers the proposal. It has no right to
-- insert approvals itself, so a decision in a person's name needs the role of those who decide.
CREATE FUNCTION lethe_control.approve_by_appraisal(approval uuid, proposal uuid)
RETURNS TABLE (actor text) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH open AS (
    SELECT p.id, p.policy, p.policy_version, p.population FROM lethe_control.proposals p
    WHERE p.id = proposal AND p.state = 'waiting'
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(p.limits) l WHERE (l ->> 'exceeded')::boolean)
    FOR UPDATE
  ), covering AS (
    SELECT open.id AS proposal_id, a.* FROM open JOIN lethe_control.appraisals a
      ON a.policy = open.policy AND a.policy_version = open.policy_version AND a.ceiling_subjects >= open.population
    WHERE a.revoked_at IS NULL AND a.valid_until > now() ORDER BY a.created_at DESC LIMIT 1
  ), approved AS (
    UPDATE lethe_control.proposals p SET state = 'approved', decided_at = now() FROM covering WHERE p.id = covering.proposal_id
  )
  INSERT INTO lethe_control.approvals (id, proposal_id, outcome, reason, actor, method, statement, signature, appraisal_id)
  SELECT approval, c.proposal_id, 'destroy', c.reason, c.actor, c.method, c.statement, c.signature, c.id FROM covering c
  RETURNING approvals.actor
$$;
REVOKE ALL ON FUNCTION lethe_control.approve_by_appraisal(uuid, uuid) FROM PUBLIC;

CREATE TABLE lethe_control.holds (
  id uuid PRIMARY KEY,
  level text NOT NULL CHECK (level IN ('row', 'subject', 'table', 'tenant')),
  store text NOT NULL,
  subject_kind text,
  table_name text,
  -- keyed hash for finding it, ciphertext (lib/base/keystore) for projecting it again; no key in clear
  key_hash bytea,
  key_cipher bytea,
  key_id text,
  kind text NOT NULL CHECK (kind IN ('legal-claim', 'inquiry-moratorium', 'access-request', 'restriction', 'complaint')),
  owner text NOT NULL,
  reason text NOT NULL,
  review_at date NOT NULL,
  created_by text NOT NULL,
  method text NOT NULL,
  statement text,
  signature text,
  created_at timestamptz NOT NULL DEFAULT now(),
  projected_at timestamptz,
  released_by text,
  released_reason text,
  released_at timestamptz,
  unprojected_at timestamptz
);

CREATE TABLE lethe_control.reports (
  run_id uuid PRIMARY KEY REFERENCES lethe_control.runs (id),
  report jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
