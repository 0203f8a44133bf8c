-- A signed statement is good once, for one object: what it decided is written under its hash, and no second row has it.
CREATE UNIQUE INDEX approvals_statement ON lethe_control.approvals (statement_hash) WHERE appraisal_id IS NULL;
CREATE UNIQUE INDEX appraisals_statement ON lethe_control.appraisals (statement_hash);
CREATE UNIQUE INDEX appraisals_revocation ON lethe_control.appraisals (revocation_hash);
CREATE UNIQUE INDEX holds_statement ON lethe_control.holds (statement_hash);
CREATE UNIQUE INDEX holds_release ON lethe_control.holds (release_hash);
CREATE UNIQUE INDEX erasure_decisions_statement ON lethe_control.erasure_decisions (statement_hash);

-- The order in which statements came in: nobody can give one another place.
ALTER TABLE lethe_control.statements ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY UNIQUE;

-- A policy's row is changed in place, so an index can't tell a new statement from one that was used: its number does.
CREATE FUNCTION lethe_control.refuse_used_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT number FROM lethe_control.statements WHERE hash = NEW.statement_hash)
    > coalesce((SELECT number FROM lethe_control.statements WHERE hash = OLD.statement_hash), 0)
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'lethe_control.policies: each arming and disarming needs a statement of its own' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER new_statement BEFORE UPDATE OF name, mode, armed_version, armed_by, statement_hash ON lethe_control.policies
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_used_statement();

-- The ID token that proved who decided, sealed: the process that destroys verifies it. It names a person, so that it goes
-- once nothing in force stands on it; its digest stays in `signature`.
ALTER TABLE lethe_control.statements ADD COLUMN token bytea, ADD COLUMN token_key_id text,
  ADD CHECK ((token IS NULL) = (token_key_id IS NULL)), ADD CHECK (token IS NULL OR statement IS NOT NULL);

-- As before (006), and one change more: the token alone goes.
CREATE OR REPLACE FUNCTION lethe_control.refuse_all_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.token IS NULL AND NEW.token_key_id IS NULL
    AND NEW.hash = OLD.hash AND NEW.at = OLD.at AND NEW.number = OLD.number
    AND (OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL AND NEW.statement IS NULL AND NEW.signature IS NULL
      OR OLD.token IS NOT NULL AND (NEW.statement, NEW.signature, NEW.erased_at) IS NOT DISTINCT FROM (OLD.statement, OLD.signature, OLD.erased_at))
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'lethe_control.statements: % refused, a text can only be erased', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

-- The issuer's public keys as the worker fetched them, so that a decision can be verified after they were rotated. No
-- other role writes here, and a row counts only with the keystore's own mark on it.
CREATE TABLE lethe_control.issuer_keys (
  issuer text NOT NULL,
  -- SHA-256 (hex) of jwk
  thumbprint text NOT NULL,
  jwk text NOT NULL,
  mark bytea NOT NULL,
  key_id text NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- a token that was issued long after this is not by a key that the issuer still had
  last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (issuer, thumbprint)
);

-- An operator's only way to a policy's row: it observes from now on. It has no right to write the table, so that arming needs
-- the role of those who decide.
CREATE FUNCTION lethe_control.disarm_policy(policy text, actor text, statement bytea)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, armed_at, statement_hash)
  VALUES (policy, 'observe', NULL, actor, now(), statement)
  ON CONFLICT (name) DO UPDATE SET mode = EXCLUDED.mode, armed_version = EXCLUDED.armed_version, armed_by = EXCLUDED.armed_by,
    armed_at = EXCLUDED.armed_at, statement_hash = EXCLUDED.statement_hash, updated_at = now()
$$;
REVOKE ALL ON FUNCTION lethe_control.disarm_policy(text, text, bytea) FROM PUBLIC;
