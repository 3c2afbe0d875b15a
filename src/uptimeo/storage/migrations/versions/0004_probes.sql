-- What a probe tells beyond the fixed columns, and how often a check tries before it fails.

ALTER TABLE api_heartbeats ADD COLUMN details jsonb;
COMMENT ON COLUMN api_heartbeats.details IS
    'what is particular to the probe type: its own phases, certificate, assertions, failed attempts; NULL if nothing';

ALTER TABLE api_monitors
    ADD COLUMN retries int NOT NULL DEFAULT 0 CHECK (retries BETWEEN 0 AND 10),
    ADD COLUMN retry_delay_ms int NOT NULL DEFAULT 0 CHECK (retry_delay_ms BETWEEN 0 AND 3600000);
COMMENT ON COLUMN api_monitors.retries IS
    'tries after a failed one, within the same slot: the last ends before the next slot';
COMMENT ON COLUMN api_monitors.retry_delay_ms IS 'ms between a failed try and the next';
