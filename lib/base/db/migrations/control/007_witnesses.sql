-- What witnesses (lib/record/evidence/witness.ts) have said of the evidence log's heads: a signature line each, to stand under the
-- head's own.
CREATE TABLE lethe_control.evidence_cosignatures (
  size bigint NOT NULL,
  at timestamptz NOT NULL,
  -- name and id of the witness's key
  witness text NOT NULL,
  line text NOT NULL CHECK (line LIKE '— %' AND line NOT LIKE E'%\n%'),
  -- by the witness's clock
  cosigned_at timestamptz NOT NULL,
  PRIMARY KEY (size, at, witness),
  FOREIGN KEY (size, at) REFERENCES lethe_control.evidence_checkpoints (size, at)
);
CREATE INDEX evidence_cosignatures_by_witness ON lethe_control.evidence_cosignatures (witness, size DESC, at DESC);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.evidence_cosignatures
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.evidence_cosignatures
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();
