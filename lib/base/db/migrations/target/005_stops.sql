-- Stores of this database that are stopped, projected from the record: the transaction that deletes looks here.
CREATE TABLE lethe.stops (
  store text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
