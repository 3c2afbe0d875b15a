-- What was seen. Columns stand in order of alignment: a healthy row wastes no padding.

CREATE SEQUENCE api_heartbeats_id_seq;

CREATE TABLE api_heartbeats (
    id                     bigint NOT NULL DEFAULT nextval('api_heartbeats_id_seq'),
    scheduled_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    executed_at            timestamp NOT NULL,
    term                   bigint,
    monitor_id             int NOT NULL,
    datacenter_id          int NOT NULL,
    agent_id               int,
    response_time_ms       real,
    dns_lookup_ms          real,
    tcp_connect_ms         real,
    tls_handshake_ms       real,
    send_ms                real,
    wait_ms                real,
    transfer_ms            real,
    redirect_ms            real,
    time_to_first_byte_ms  real,
    queue_ms               real,
    response_size_bytes    int,
    response_status_code   int,
    warning_threshold_ms   int,
    critical_threshold_ms  int,
    attempts               smallint NOT NULL DEFAULT 1,
    success                boolean,
    status                 varchar(10) NOT NULL
        CHECK (status IN ('up', 'degraded', 'critical', 'down', 'unknown')),
    http_version           varchar(3),
    failed_phase           varchar(10),
    error_type             varchar(50),
    resolved_ip            inet,
    response_content_type  varchar(50),
    response_server        varchar(50),
    response_cache_status  varchar(50),
    error_message          text,
    raw_request_headers    jsonb,
    raw_response_headers   jsonb,
    raw_response_body      jsonb,
    PRIMARY KEY (monitor_id, datacenter_id, scheduled_at)
) PARTITION BY RANGE (scheduled_at);
ALTER SEQUENCE api_heartbeats_id_seq OWNED BY api_heartbeats.id;
-- Serves the query that everybody types: ORDER BY executed_at DESC LIMIT 10.
CREATE INDEX api_heartbeats_executed_at ON api_heartbeats (executed_at);

COMMENT ON COLUMN api_heartbeats.scheduled_at IS 'the slot of the check, on the grid of its monitor';
COMMENT ON COLUMN api_heartbeats.executed_at IS 'when the check started, UTC by the clock of the database';
COMMENT ON COLUMN api_heartbeats.term IS 'the term of leadership under which it ran: agent_terms';
COMMENT ON COLUMN api_heartbeats.response_time_ms IS
    'total: redirect + dns + connect + tls + send + wait + transfer + an unattributed rest';
COMMENT ON COLUMN api_heartbeats.time_to_first_byte_ms IS 'from the start to the first byte of the last hop';
COMMENT ON COLUMN api_heartbeats.redirect_ms IS 'all hops before the last; the other phases are those of the last hop';
COMMENT ON COLUMN api_heartbeats.queue_ms IS 'from the slot to the start: lateness of the agent, not of the target';
COMMENT ON COLUMN api_heartbeats.success IS 'NULL when unknown: a fault of our own says nothing about the target';

-- Rows that cannot be heartbeats, with the reason. Nothing that was sent is thrown away.
CREATE TABLE api_heartbeats_set_aside (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    datacenter_id int NOT NULL,
    reason        text NOT NULL,
    payload       text NOT NULL,
    digest        text NOT NULL GENERATED ALWAYS AS (md5(payload)) STORED,
    UNIQUE (datacenter_id, digest)
);
