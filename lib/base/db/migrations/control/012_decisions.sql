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
