-- Heartbeats as people read them, and as older agents write them: what is packed in `heartbeats`,
-- with the traits that it shares. Two expressions are those of indexes: change none of them alone.
-- Columns that somebody added to `heartbeats` come last.
DO $$
DECLARE
    others CONSTANT text[] := (
        SELECT array_agg(quote_ident(attname) ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = 'heartbeats'::regclass AND attnum > 0 AND NOT attisdropped
          AND attname NOT IN ('id', 'scheduled_at', 'late_ms', 'monitor_id', 'traits_id',
              'response_size_bytes', 'response_time_ms', 'dns_lookup_ms', 'tcp_connect_ms',
              'tls_handshake_ms', 'send_ms', 'wait_ms', 'time_to_first_byte_ms', 'datacenter_id',
              'status', 'rest'));
    c record;
BEGIN
    EXECUTE format($view$
        CREATE OR REPLACE VIEW api_heartbeats AS
        SELECT h.id, h.scheduled_at,
               coalesce(
                   (h.scheduled_at AT TIME ZONE 'UTC') + h.late_ms::float8 * interval '1 ms',
                   heartbeat_executed_at(h.rest)) AS executed_at,
               t.term, h.monitor_id, h.datacenter_id, t.agent_id, h.response_time_ms,
               h.dns_lookup_ms, h.tcp_connect_ms, h.tls_handshake_ms, h.send_ms, h.wait_ms,
               CASE WHEN h.rest <> '' AND h.rest::jsonb ? 'transfer_ms'
                    THEN (h.rest::jsonb ->> 'transfer_ms')::real
                    ELSE heartbeat_transfer(h.response_time_ms, h.time_to_first_byte_ms)
                    END AS transfer_ms,
               (nullif(h.rest, '')::jsonb ->> 'redirect_ms')::real AS redirect_ms,
               h.time_to_first_byte_ms, h.response_size_bytes, t.response_status_code,
               t.warning_threshold_ms, t.critical_threshold_ms, t.attempts, t.success,
               CASE h.status WHEN 'u' THEN 'up' WHEN 's' THEN 'degraded' WHEN 'c' THEN 'critical'
                             WHEN 'd' THEN 'down' WHEN '?' THEN 'unknown' END AS status,
               t.http_version, t.failed_phase, t.error_type, t.resolved_ip,
               t.response_content_type, t.response_server, t.response_cache_status,
               nullif(h.rest, '')::jsonb ->> 'error_message' AS error_message,
               nullif(h.rest, '')::jsonb -> 'raw_request_headers' AS raw_request_headers,
               nullif(h.rest, '')::jsonb -> 'raw_response_headers' AS raw_response_headers,
               nullif(h.rest, '')::jsonb -> 'raw_response_body' AS raw_response_body,
               nullif(h.rest, '')::jsonb -> 'details' AS details%s
        FROM heartbeats h LEFT JOIN heartbeat_traits t ON t.id = h.traits_id $view$,
        ', h.' || array_to_string(others, ', h.'));
    -- Those that somebody added have the default that they have in the table.
    FOR c IN
        SELECT a.attname, coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL') AS value
        FROM pg_attribute a
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'heartbeats'::regclass
          AND quote_ident(a.attname) = ANY (others)
    LOOP
        EXECUTE format('ALTER VIEW api_heartbeats ALTER %I SET DEFAULT %s', c.attname, c.value);
    END LOOP;
END $$;
ALTER VIEW api_heartbeats ALTER id SET DEFAULT nextval('api_heartbeats_id_seq'),
    ALTER scheduled_at SET DEFAULT clock_timestamp(), ALTER attempts SET DEFAULT 1;
CREATE OR REPLACE TRIGGER unpacked INSTEAD OF INSERT OR UPDATE OR DELETE ON api_heartbeats
    FOR EACH ROW EXECUTE FUNCTION heartbeat_written();

COMMENT ON VIEW api_heartbeats IS
    'what each slot of each monitor came to in each datacenter';
COMMENT ON COLUMN api_heartbeats.id IS 'ascends with the order of writing; gaps are no loss';
COMMENT ON COLUMN api_heartbeats.scheduled_at IS 'the slot of the check, on the grid of its monitor';
COMMENT ON COLUMN api_heartbeats.executed_at IS 'when the check started, UTC by the clock of the database';
COMMENT ON COLUMN api_heartbeats.term IS 'the term of leadership under which it ran: agent_terms';
COMMENT ON COLUMN api_heartbeats.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN api_heartbeats.datacenter_id IS 'from where it was checked';
COMMENT ON COLUMN api_heartbeats.agent_id IS 'which agent checked';
COMMENT ON COLUMN api_heartbeats.response_time_ms IS
    'total: redirect + dns + connect + tls + send + wait + transfer + an unattributed rest';
COMMENT ON COLUMN api_heartbeats.dns_lookup_ms IS 'ms to look up the name; NULL: not reached, or there was none';
COMMENT ON COLUMN api_heartbeats.tcp_connect_ms IS 'ms to connect; NULL: not reached';
COMMENT ON COLUMN api_heartbeats.tls_handshake_ms IS 'ms of the TLS handshake; NULL: not reached, or there was none';
COMMENT ON COLUMN api_heartbeats.send_ms IS 'ms to send the request';
COMMENT ON COLUMN api_heartbeats.wait_ms IS 'ms from the request''s end to the answer''s first byte';
COMMENT ON COLUMN api_heartbeats.transfer_ms IS 'ms from the answer''s first byte to its last';
COMMENT ON COLUMN api_heartbeats.redirect_ms IS 'all hops before the last; the other phases are those of the last hop';
COMMENT ON COLUMN api_heartbeats.time_to_first_byte_ms IS 'from the start to the first byte of the last hop';
COMMENT ON COLUMN api_heartbeats.response_size_bytes IS 'bytes of the body, after decompression';
COMMENT ON COLUMN api_heartbeats.response_status_code IS 'what the last hop answered: the status of HTTP, or what its type has';
COMMENT ON COLUMN api_heartbeats.warning_threshold_ms IS 'what was slow at that time; NULL: nothing was';
COMMENT ON COLUMN api_heartbeats.critical_threshold_ms IS 'what was too slow at that time; NULL: nothing was';
COMMENT ON COLUMN api_heartbeats.attempts IS 'tries in this slot; 0: it was not checked, error_type says why';
COMMENT ON COLUMN api_heartbeats.success IS 'NULL when unknown: a fault of our own says nothing about the target';
COMMENT ON COLUMN api_heartbeats.status IS 'up, degraded (slow), critical (too slow), down, or unknown: no word on the target';
COMMENT ON COLUMN api_heartbeats.http_version IS 'the version that was agreed on: 1.1, 2, 3';
COMMENT ON COLUMN api_heartbeats.failed_phase IS 'in which phase it failed';
COMMENT ON COLUMN api_heartbeats.error_type IS 'why it failed, one word; docs/monitors.md has them all';
COMMENT ON COLUMN api_heartbeats.resolved_ip IS 'the address that was connected to';
COMMENT ON COLUMN api_heartbeats.response_content_type IS 'the answer''s header Content-Type';
COMMENT ON COLUMN api_heartbeats.response_server IS 'the answer''s header Server';
COMMENT ON COLUMN api_heartbeats.response_cache_status IS 'the answer''s header X-Cache, else CF-Cache-Status';
COMMENT ON COLUMN api_heartbeats.error_message IS 'why it failed, for people; secrets are redacted';
COMMENT ON COLUMN api_heartbeats.raw_request_headers IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
COMMENT ON COLUMN api_heartbeats.raw_response_headers IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
COMMENT ON COLUMN api_heartbeats.raw_response_body IS
    'where the schedule asks for bodies; else see heartbeat_evidence';
COMMENT ON COLUMN api_heartbeats.details IS
    'what is particular to the probe type: its own phases, certificate, assertions, failed attempts; NULL if nothing';
