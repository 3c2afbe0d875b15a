-- Values that config rows refer to, and what is kept of failures and changes beside the heartbeats.

CREATE TABLE secrets (
    name          varchar(100) NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
    datacenter_id int REFERENCES datacenters ON DELETE CASCADE,
    key_id        varchar(50) NOT NULL,
    nonce         bytea NOT NULL CHECK (length(nonce) = 12),
    ciphertext    bytea NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by    text NOT NULL DEFAULT session_user,
    UNIQUE NULLS NOT DISTINCT (name, datacenter_id)
);
COMMENT ON TABLE secrets IS
    'values that rows refer to as {{secret:name}}, sealed with AES-256-GCM; the keys are in no table';
COMMENT ON COLUMN secrets.name IS 'what a reference says';
COMMENT ON COLUMN secrets.datacenter_id IS
    'the only datacenter whose agents use it, before one for all; NULL: all';
COMMENT ON COLUMN secrets.key_id IS 'with which key of UPTIMEO_KEY_FILE it is sealed';
COMMENT ON COLUMN secrets.nonce IS '12 random bytes, others at every sealing';
COMMENT ON COLUMN secrets.ciphertext IS 'the value, bound to name and datacenter';
COMMENT ON COLUMN secrets.updated_at IS 'when it was sealed';
COMMENT ON COLUMN secrets.updated_by IS 'the role that wrote it';

CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON secrets
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();

CREATE TABLE heartbeat_evidence (
    scheduled_at     timestamptz NOT NULL,
    monitor_id       int NOT NULL,
    datacenter_id    int NOT NULL,
    reason           varchar(20) NOT NULL,
    addresses        text[],
    request_headers  jsonb,
    response_headers jsonb,
    response_body    jsonb,
    certificate      jsonb,
    PRIMARY KEY (monitor_id, datacenter_id, scheduled_at)
) PARTITION BY RANGE (scheduled_at);
COMMENT ON TABLE heartbeat_evidence IS
    'what was seen at failures and changes of state, without secrets, for some days';
COMMENT ON COLUMN heartbeat_evidence.scheduled_at IS 'with the next two, the key of the heartbeat';
COMMENT ON COLUMN heartbeat_evidence.monitor_id IS 'the monitor of the heartbeat';
COMMENT ON COLUMN heartbeat_evidence.datacenter_id IS 'the datacenter of the heartbeat';
COMMENT ON COLUMN heartbeat_evidence.reason IS 'why it was kept: failure (down, unknown) or change';
COMMENT ON COLUMN heartbeat_evidence.addresses IS 'the addresses that were tried, in that order';
COMMENT ON COLUMN heartbeat_evidence.request_headers IS
    'at most 4 KiB; NULL where the heartbeat has raw_request_headers';
COMMENT ON COLUMN heartbeat_evidence.response_headers IS
    'at most 4 KiB; NULL where the heartbeat has raw_response_headers';
COMMENT ON COLUMN heartbeat_evidence.response_body IS
    'the first 16 KiB, as JSON or text; NULL where the heartbeat has raw_response_body';
COMMENT ON COLUMN heartbeat_evidence.certificate IS
    'the certificate that was shown; NULL where details of the heartbeat have it';

INSERT INTO partition_plans VALUES ('heartbeat_evidence', 1, 7, 7);

COMMENT ON COLUMN api_heartbeats.raw_request_headers IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
COMMENT ON COLUMN api_heartbeats.raw_response_headers IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
COMMENT ON COLUMN api_heartbeats.raw_response_body IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
