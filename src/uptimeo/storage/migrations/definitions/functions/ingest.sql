-- Stores a batch of heartbeats, a JSON array, in one statement and one transaction.
-- Fence: a heartbeat of term T is good if it was executed before term T+1 began, whenever it
-- arrives. Ended terms never change, so no lock is needed. The natural key removes doubles: they
-- are rare, so each row is stored as if it were none, which spares the log 48 bytes a row that
-- ON CONFLICT takes. If one is there already, none is kept, and all are looked up before the next
-- try. Two batches with the same row wait for each other, and then one of them looks.
-- What is kept beside a heartbeat goes to `heartbeat_evidence` if there is a partition for it.
-- Every row sent is counted exactly once in the answer; positions in the batch begin at 0.
CREATE OR REPLACE FUNCTION heartbeats_ingest(p_datacenter int, p_batch jsonb)
RETURNS TABLE (inserted int, duplicate int, aside_positions int[], aside_reasons text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    tries int := 0;
    doubles int[] := '{}';
BEGIN
    PERFORM agent_check(p_datacenter);
    LOOP
        BEGIN
            SELECT * INTO inserted, aside_positions, aside_reasons
            FROM heartbeats_store(p_datacenter, p_batch, doubles);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            tries := tries + 1;
            IF tries = 10 THEN
                RAISE;
            END IF;
        END;
        doubles := heartbeats_stored(p_datacenter, p_batch);
    END LOOP;
    duplicate := jsonb_array_length(p_batch) - inserted - cardinality(aside_positions);
    RETURN NEXT;
END $$;

-- The positions in a batch of what is there already.
CREATE OR REPLACE FUNCTION heartbeats_stored(p_datacenter int, p_batch jsonb) RETURNS int[]
LANGUAGE sql STABLE SET enable_seqscan = off SET search_path FROM CURRENT AS $$
    SELECT coalesce(array_agg(e.n::int - 1), '{}')
    FROM jsonb_array_elements(p_batch) WITH ORDINALITY AS e (value, n)
    CROSS JOIN LATERAL jsonb_to_record(e.value) AS x (monitor_id int, scheduled_at timestamptz)
    CROSS JOIN LATERAL (
        SELECT FROM heartbeats
        WHERE monitor_id = x.monitor_id AND datacenter_id = p_datacenter
          AND scheduled_at = x.scheduled_at
        LIMIT 1) h  -- a lookup for each row, never a scan of a day that is thought to be small
$$;

-- One try, for heartbeats_ingest, without the rows at the positions `p_doubles`. Its plan is kept
-- as long as the session, and may be made while there are hardly any traits or terms: by index, it
-- stays good when there are many.
CREATE OR REPLACE FUNCTION heartbeats_store(p_datacenter int, p_batch jsonb, p_doubles int[])
RETURNS TABLE (inserted int, aside_positions int[], aside_reasons text[])
LANGUAGE plpgsql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
BEGIN
    WITH src AS MATERIALIZED (
        SELECT x.*, e.value AS payload, e.n::int - 1 AS position,
            x.executed_at AT TIME ZONE 'UTC' AS executed_utc,
            (x.scheduled_at AT TIME ZONE 'UTC')::date AS day,
            heartbeat_digest(
                x.term, x.agent_id, x.response_status_code, x.warning_threshold_ms,
                x.critical_threshold_ms, coalesce(x.attempts, 1::smallint), x.success,
                x.http_version, x.failed_phase, x.error_type, x.resolved_ip,
                x.response_content_type, x.response_server, x.response_cache_status) AS digest,
            CASE
            WHEN x.datacenter_id IS DISTINCT FROM p_datacenter THEN 'wrong datacenter'
            -- By name, for it is quick; the bounds are read, once for a batch, only if a day has no
            -- partition of its name, as in a table that is older than these names.
            WHEN NOT EXISTS (
                SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'heartbeats'::regclass AND NOT i.inhdetachpending
                  AND c.relname =
                    'heartbeats_' || to_char(x.scheduled_at AT TIME ZONE 'UTC', 'YYYYMMDD')
            ) AND (x.scheduled_at <@ (SELECT partition_coverage('heartbeats'))) IS NOT TRUE
            THEN 'no partition for its day'
            WHEN t.holder IS NULL THEN 'unknown term'
            -- The clock of an agent follows that of the database within a round trip.
            WHEN x.executed_at < t.started_at - interval '250 ms' THEN 'executed before its term'
            WHEN next.started_at <= x.executed_at THEN 'executed after its term'
        END AS bad
        FROM jsonb_array_elements(p_batch) WITH ORDINALITY AS e (value, n)
        CROSS JOIN LATERAL jsonb_to_record(e.value) AS x (
            scheduled_at timestamptz, executed_at timestamptz, term int, holder uuid,
            monitor_id int, datacenter_id int, agent_id int, response_time_ms real,
            dns_lookup_ms real, tcp_connect_ms real, tls_handshake_ms real, send_ms real,
            wait_ms real, transfer_ms real, redirect_ms real, time_to_first_byte_ms real,
            response_size_bytes int, response_status_code int, warning_threshold_ms int,
            critical_threshold_ms int, attempts smallint, success boolean,
            status varchar(10), http_version varchar(3),
            failed_phase varchar(10), error_type varchar(50), resolved_ip inet,
            response_content_type varchar(50), response_server varchar(50),
            response_cache_status varchar(50), error_message text, raw_request_headers jsonb,
            raw_response_headers jsonb, raw_response_body jsonb, details jsonb, evidence jsonb)
        LEFT JOIN agent_terms t ON t.datacenter_id = p_datacenter
            AND t.term = x.term AND t.holder = x.holder
        LEFT JOIN agent_terms next ON next.datacenter_id = p_datacenter AND next.term = x.term + 1
    ), good AS MATERIALIZED (
        SELECT DISTINCT ON (s.monitor_id, s.scheduled_at) s.*, t.id AS traits_id, t.last_used
        FROM src s
        LEFT JOIN LATERAL (
            SELECT id, last_used FROM heartbeat_traits WHERE digest = s.digest LIMIT 1) t ON true
        WHERE s.bad IS NULL AND s.position <> ALL (p_doubles)
        ORDER BY s.monitor_id, s.scheduled_at, s.position
    ), fresh AS (
        -- What two batches note at the same time has one row, and both learn its number.
        INSERT INTO heartbeat_traits AS t (
            last_used, term, agent_id, response_status_code, warning_threshold_ms,
            critical_threshold_ms, attempts, success, http_version, failed_phase, error_type,
            resolved_ip, response_content_type, response_server, response_cache_status, digest)
        SELECT DISTINCT ON (digest)
            day, term, agent_id, response_status_code, warning_threshold_ms,
            critical_threshold_ms, coalesce(attempts, 1), success, http_version, failed_phase,
            error_type, resolved_ip, response_content_type, response_server,
            response_cache_status, digest
        FROM good WHERE last_used >= day IS NOT TRUE
        ORDER BY digest, day DESC
        ON CONFLICT (digest) DO UPDATE SET last_used = greatest(t.last_used, excluded.last_used)
        RETURNING id, digest
    ), ins AS (
        INSERT INTO heartbeats (
            scheduled_at, late_ms, monitor_id, traits_id, response_size_bytes, response_time_ms,
            dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms,
            time_to_first_byte_ms, datacenter_id, status, rest)
        SELECT
            scheduled_at, heartbeat_late(scheduled_at, executed_utc), monitor_id,
            coalesce(fresh.id, traits_id), response_size_bytes, response_time_ms, dns_lookup_ms,
            tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms, time_to_first_byte_ms,
            datacenter_id, heartbeat_letter(coalesce(status, heartbeat_status(
                success, response_time_ms, warning_threshold_ms, critical_threshold_ms))),
            heartbeat_rest(
                scheduled_at, executed_utc, redirect_ms, response_time_ms, time_to_first_byte_ms,
                transfer_ms, error_message, raw_request_headers, raw_response_headers,
                raw_response_body, details)
        FROM good LEFT JOIN fresh USING (digest)
        ORDER BY scheduled_at
        RETURNING monitor_id, scheduled_at
    ), kept AS (
        -- Only of rows that were stored, and never a reason to refuse one.
        INSERT INTO heartbeat_evidence (
            monitor_id, datacenter_id, scheduled_at, reason, addresses, request_headers,
            response_headers, response_body, certificate)
        SELECT s.monitor_id, p_datacenter, s.scheduled_at, left(coalesce(k.reason, '?'), 20),
            CASE jsonb_typeof(k.addresses)
                WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(k.addresses)) END,
            k.request_headers, k.response_headers, k.response_body, k.certificate
        FROM good s
        JOIN ins USING (monitor_id, scheduled_at)
        CROSS JOIN LATERAL jsonb_to_record(s.evidence) AS k (
            reason text, addresses jsonb, request_headers jsonb, response_headers jsonb,
            response_body jsonb, certificate jsonb)
        WHERE jsonb_typeof(s.evidence) = 'object' AND EXISTS (
            SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'heartbeat_evidence'::regclass AND c.relname =
                'heartbeat_evidence_' || to_char(s.scheduled_at AT TIME ZONE 'UTC', 'YYYYMMDD'))
        ON CONFLICT DO NOTHING
    ), aside AS (
        INSERT INTO api_heartbeats_set_aside (datacenter_id, reason, payload)
        SELECT p_datacenter, bad, payload::text FROM src WHERE bad IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT (SELECT count(*) FROM ins),
           coalesce(array_agg(position), '{}'), coalesce(array_agg(bad), '{}')
    INTO inserted, aside_positions, aside_reasons
    FROM src WHERE bad IS NOT NULL;
    RETURN NEXT;
END $$;

-- Keeps one row that the batch function refuses as data; `p_payload` is any text without NUL.
CREATE OR REPLACE FUNCTION heartbeat_set_aside(p_datacenter int, p_reason text, p_payload text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT agent_check(p_datacenter);
    INSERT INTO api_heartbeats_set_aside (datacenter_id, reason, payload)
    VALUES (p_datacenter, left(p_reason, 1000), p_payload)
    ON CONFLICT DO NOTHING
$$;
