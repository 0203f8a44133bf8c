-- What people type when they decide. It stands apart from the evidence, which names it by its hash alone: the text can go,
-- and the evidence stays whole.
CREATE TABLE lethe_control.statements (
  -- SHA-256 of the statement's UTF-8 bytes; the nonce in them keeps the text from being guessed by its hash
  hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
  -- the exact bytes that were agreed to; null once erased
  statement text CONSTRAINT hash_of_statement CHECK (hash = sha256(convert_to(statement, 'UTF8'))),
  -- null also where nobody signed: a reason from before each decision had a statement
  signature text CHECK (signature IS NULL OR statement IS NOT NULL),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  erased_at timestamptz,
  CHECK ((statement IS NULL) = (erased_at IS NOT NULL))
)
-- an erased text leaves the table's file with the next vacuum, not with the fiftieth
WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

-- A reason without a signed statement becomes one that nobody signed, with a nonce of its own.
CREATE FUNCTION lethe_control.unsigned(verb text, object text, reason text, at timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT json_build_object('at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'facts', '{}'::json, 'lethe', 1,
    'nonce', left(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex'), 24),
    'object', object, 'reason', reason, 'verb', verb)::text
$$;
UPDATE lethe_control.approvals SET signature = NULL,
    statement = lethe_control.unsigned('proposal.approve', proposal_id::text, reason, at)
  WHERE statement IS NULL;
UPDATE lethe_control.holds SET signature = NULL, statement = lethe_control.unsigned('hold.add', id::text, reason, created_at)
  WHERE statement IS NULL;
UPDATE lethe_control.holds
  SET released_reason = lethe_control.unsigned('hold.release', id::text, released_reason, coalesce(released_at, now()))
  WHERE released_reason IS NOT NULL;
DROP FUNCTION lethe_control.unsigned(text, text, text, timestamptz);

-- An approval by a standing appraisal has the appraisal's own statement.
INSERT INTO lethe_control.statements (hash, statement, signature, at)
  SELECT sha256(convert_to(statement, 'UTF8')), statement, signature, at FROM (
    SELECT statement, signature, created_at AS at FROM lethe_control.appraisals
    UNION ALL SELECT statement, signature, at FROM lethe_control.approvals
    UNION ALL SELECT statement, signature, created_at FROM lethe_control.holds
    UNION ALL SELECT released_reason, NULL, coalesce(released_at, now()) FROM lethe_control.holds WHERE released_reason IS NOT NULL
  ) AS kept ORDER BY at
  ON CONFLICT DO NOTHING;

ALTER TABLE lethe_control.approvals ADD COLUMN statement_hash bytea REFERENCES lethe_control.statements;
ALTER TABLE lethe_control.appraisals ADD COLUMN statement_hash bytea REFERENCES lethe_control.statements,
  ADD COLUMN revocation_hash bytea REFERENCES lethe_control.statements;
ALTER TABLE lethe_control.holds ADD COLUMN statement_hash bytea REFERENCES lethe_control.statements,
  ADD COLUMN release_hash bytea REFERENCES lethe_control.statements;
-- of the last arming or disarming; null where it was before this
ALTER TABLE lethe_control.policies ADD COLUMN statement_hash bytea REFERENCES lethe_control.statements;

UPDATE lethe_control.approvals SET statement_hash = sha256(convert_to(statement, 'UTF8'));
UPDATE lethe_control.appraisals SET statement_hash = sha256(convert_to(statement, 'UTF8'));
UPDATE lethe_control.holds SET statement_hash = sha256(convert_to(statement, 'UTF8')),
  release_hash = sha256(convert_to(released_reason, 'UTF8'));

ALTER TABLE lethe_control.approvals ALTER COLUMN statement_hash SET NOT NULL,
  DROP COLUMN reason, DROP COLUMN statement, DROP COLUMN signature;
ALTER TABLE lethe_control.appraisals ALTER COLUMN statement_hash SET NOT NULL,
  DROP COLUMN reason, DROP COLUMN statement, DROP COLUMN signature;
ALTER TABLE lethe_control.holds ALTER COLUMN statement_hash SET NOT NULL,
  DROP COLUMN reason, DROP COLUMN statement, DROP COLUMN signature, DROP COLUMN released_reason;

-- A report names the statement; the reason is joined when it is printed.
CREATE FUNCTION lethe_control.without_reason(report jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE WHEN jsonb_typeof(report -> 'approval') = 'object'
    THEN jsonb_set(report #- '{approval,reason}', '{approval,statement}', coalesce(
      (SELECT to_jsonb(encode(a.statement_hash, 'hex')) FROM lethe_control.approvals a
       WHERE a.proposal_id::text = report ->> 'proposal' ORDER BY a.at DESC LIMIT 1), 'null'))
    ELSE report END
$$;
-- not an UPDATE: this writes the table's file anew, and the old reasons are in none
ALTER TABLE lethe_control.reports ALTER COLUMN report TYPE jsonb USING lethe_control.without_reason(report);
DROP FUNCTION lethe_control.without_reason(jsonb);
-- a dropped column's values stay in the file until their row is written again
CLUSTER lethe_control.approvals USING approvals_pkey;
CLUSTER lethe_control.appraisals USING appraisals_pkey;
CLUSTER lethe_control.holds USING holds_pkey;
ALTER TABLE lethe_control.approvals SET WITHOUT CLUSTER;
ALTER TABLE lethe_control.appraisals SET WITHOUT CLUSTER;
ALTER TABLE lethe_control.holds SET WITHOUT CLUSTER;

-- The one change that is let through: text and signature go, everything else stays as it is.
CREATE FUNCTION lethe_control.refuse_all_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL
    AND NEW.statement IS NULL AND NEW.signature IS NULL AND NEW.hash = OLD.hash AND NEW.at = OLD.at
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'lethe_control.statements: % refused, a text can only be erased', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.statements
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_all_but_erasure();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.statements
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();

-- As before (002), with the appraisal's statement by its hash.
CREATE OR REPLACE FUNCTION lethe_control.approve_by_appraisal(approval uuid, proposal uuid)
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
  INSERT INTO lethe_control.approvals (id, proposal_id, outcome, actor, method, statement_hash, appraisal_id)
  SELECT approval, c.proposal_id, 'destroy', c.actor, c.method, c.statement_hash, c.id FROM covering c
  RETURNING approvals.actor
$$;
