-- Two stores of a map may be one database: each store's projection replaces its own holds only.
ALTER TABLE lethe.holds ADD COLUMN store text NOT NULL DEFAULT '';
CREATE INDEX holds_by_store ON lethe.holds (store);
