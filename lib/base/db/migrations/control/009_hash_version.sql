-- Which input a subject's hash was made of (lib/base/keystore): what was written before this stands under the first.
ALTER TABLE lethe_control.erasures ADD COLUMN hash_version smallint NOT NULL DEFAULT 1;
ALTER TABLE lethe_control.erasures ALTER COLUMN hash_version DROP DEFAULT;
ALTER TABLE lethe_control.erasure_requests ADD COLUMN hash_version smallint NOT NULL DEFAULT 1;
-- null: a hold that names no subject
ALTER TABLE lethe_control.holds ADD COLUMN hash_version smallint;
UPDATE lethe_control.holds SET hash_version = 1 WHERE key_hash IS NOT NULL;
