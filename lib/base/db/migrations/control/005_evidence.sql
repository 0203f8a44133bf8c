-- The evidence log (lib/record/evidence): committed events get an index each and become leaves of one Merkle tree.
-- The transaction of an event tells which snapshots can see it; existing rows get the migration's own.
ALTER TABLE lethe_control.events ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id();
-- json keeps the text that the writer gave, canonical JSON: what is hashed is what was written.
ALTER TABLE lethe_control.events ALTER COLUMN data DROP DEFAULT, ALTER COLUMN data TYPE json USING data::json;
CREATE INDEX events_by_xact ON lethe_control.events (xact, id);

-- One row, under whose lock the log grows: two sequencers can't fork it.
CREATE TABLE lethe_control.evidence_log (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  size bigint NOT NULL DEFAULT 0,
  -- every event that this snapshot sees has its index
  seen pg_snapshot,
  -- a pass over more events than one batch takes: the snapshot from before it, and the last event it has taken
  pass pg_snapshot,
  pass_xact xid8,
  pass_id bigint,
  sequenced_at timestamptz,
  -- leaves of the head that the last verification reached without a break
  verified bigint NOT NULL DEFAULT 0,
  -- the period that a person has typed back before anything was locked for it
  locked_for text
);
INSERT INTO lethe_control.evidence_log DEFAULT VALUES;

CREATE TABLE lethe_control.evidence_entries (
  index bigint PRIMARY KEY,
  event_id bigint NOT NULL UNIQUE,
  sequenced_at timestamptz NOT NULL,
  -- null once the event's content has aged out
  salt bytea,
  -- what the tree hashes: SHA-256 over salt and content; the content is made of the event (lib/record/evidence/entry.ts)
  entry bytea NOT NULL CHECK (octet_length(entry) = 32)
);

-- C2SP tlog-tiles; the last one of each level grows until it is full.
CREATE TABLE lethe_control.evidence_tiles (
  level smallint NOT NULL,
  tile bigint NOT NULL,
  hashes bytea NOT NULL,
  PRIMARY KEY (level, tile)
);

CREATE TABLE lethe_control.evidence_checkpoints (
  size bigint NOT NULL,
  at timestamptz NOT NULL,
  note text NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (size, at)
);
CREATE INDEX evidence_checkpoints_unpublished ON lethe_control.evidence_checkpoints (size, at) WHERE published_at IS NULL;

-- Refused to everyone but the retention role, which a session has to take on by name, owner and superuser too; its rights
-- (lib/record/grants) let it delete events and empty salts, no more.
CREATE OR REPLACE FUNCTION lethe_control.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_user = 'lethe_retention' AND TG_TABLE_NAME = 'events' AND TG_OP = 'DELETE' THEN
    RETURN OLD;
  ELSIF current_user = 'lethe_retention' AND TG_TABLE_NAME = 'evidence_entries' AND TG_OP = 'UPDATE' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'lethe_control.%: append-only, % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON lethe_control.evidence_entries
  FOR EACH ROW EXECUTE FUNCTION lethe_control.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON lethe_control.evidence_entries
  FOR EACH STATEMENT EXECUTE FUNCTION lethe_control.refuse_change();
