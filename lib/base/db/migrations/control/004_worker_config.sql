-- Which configuration a live process runs: one that was edited since is not in force until the process starts again.
ALTER TABLE lethe_control.workers ADD COLUMN config_version text;
