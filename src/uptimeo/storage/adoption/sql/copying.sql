-- Moving heartbeats. Each call is one step; the caller commits it. The rows of a step pass through
-- the temporary table adoption_batch, which has the columns of the staged api_heartbeats. Two older
-- rows differ in id or time: there is a unique index that says so.

-- Makes the partitions that the batch needs: by day, as ours are, and before that by month, since
-- every query locks every partition. A row that is moved may end in the next one.
CREATE OR REPLACE FUNCTION uptimeo_older.make_partitions() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p record;
    t text;
BEGIN
    FOR p IN
        WITH days AS (
            SELECT (scheduled_at AT TIME ZONE 'UTC')::date AS d FROM pg_temp.adoption_batch
            UNION
            SELECT ((scheduled_at + interval '1 s') AT TIME ZONE 'UTC')::date
            FROM pg_temp.adoption_batch
        ), cut AS (
            SELECT date_trunc('month', (began_at AT TIME ZONE 'UTC') - interval '35 days')::date AS c
            FROM uptimeo_older.adoption
        )
        SELECT DISTINCT CASE WHEN d >= c THEN d::timestamp ELSE date_trunc('month', d::timestamp) END
                   AS lo, CASE WHEN d >= c THEN interval '1 day' ELSE interval '1 month' END AS width
        FROM days CROSS JOIN cut
    LOOP
        t := 'heartbeats_' || to_char(p.lo, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('uptimeo_staging.' || t) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE uptimeo_staging.%I (LIKE uptimeo_staging.heartbeats'
            ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', t);
        EXECUTE format(
            'ALTER TABLE uptimeo_staging.heartbeats ATTACH PARTITION uptimeo_staging.%I'
            ' FOR VALUES FROM (%L) TO (%L)',
            t, p.lo AT TIME ZONE 'UTC', (p.lo + p.width) AT TIME ZONE 'UTC');
    END LOOP;
END $$;

-- Stores the batch. Of several heartbeats of one monitor, datacenter and time the first keeps the
-- time; the others get the next free microseconds. Each row of the batch is stored. What rows have in
-- common is noted for all at once: a row at a time takes ten times as long.
CREATE OR REPLACE FUNCTION uptimeo_older.store_batch(OUT stored bigint, OUT moved bigint)
LANGUAGE plpgsql AS $$
DECLARE
    -- The columns of the older installation's own.
    others CONSTANT text := (
        SELECT string_agg(', ' || quote_ident(ours), '') FROM uptimeo_older.kept_columns
        WHERE table_name = 'api_heartbeats');
    r uptimeo_staging.api_heartbeats;
BEGIN
    PERFORM uptimeo_older.make_partitions();
    INSERT INTO pg_temp.adoption_digests
    SELECT id, executed_at, uptimeo_staging.heartbeat_digest(
        term, agent_id, response_status_code, warning_threshold_ms, critical_threshold_ms,
        attempts, success, http_version, failed_phase, error_type, resolved_ip,
        response_content_type, response_server, response_cache_status)
    FROM pg_temp.adoption_batch;
    INSERT INTO uptimeo_staging.heartbeat_traits AS t (
        last_used, term, agent_id, response_status_code, warning_threshold_ms,
        critical_threshold_ms, attempts, success, http_version, failed_phase, error_type,
        resolved_ip, response_content_type, response_server, response_cache_status, digest)
    SELECT DISTINCT ON (digest)
        (scheduled_at AT TIME ZONE 'UTC')::date, term, agent_id, response_status_code,
        warning_threshold_ms, critical_threshold_ms, attempts, success, http_version,
        failed_phase, error_type, resolved_ip, response_content_type, response_server,
        response_cache_status, digest
    FROM pg_temp.adoption_batch JOIN pg_temp.adoption_digests USING (id, executed_at)
    ORDER BY digest, scheduled_at DESC
    ON CONFLICT (digest) DO UPDATE SET last_used = excluded.last_used
    WHERE t.last_used < excluded.last_used;
    -- As heartbeat_packed does, which takes a row at a time.
    EXECUTE format($store$
        WITH placed AS (
            INSERT INTO uptimeo_staging.heartbeats (
                id, scheduled_at, late_ms, monitor_id, traits_id, response_size_bytes,
                response_time_ms, dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms,
                wait_ms, time_to_first_byte_ms, datacenter_id, status, rest%1$s)
            SELECT b.id, scheduled_at, uptimeo_staging.heartbeat_late(scheduled_at, executed_at),
                monitor_id, t.id, response_size_bytes, response_time_ms, dns_lookup_ms,
                tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms, time_to_first_byte_ms,
                datacenter_id, uptimeo_staging.heartbeat_letter(status),
                uptimeo_staging.heartbeat_rest(
                    scheduled_at, executed_at, redirect_ms, response_time_ms,
                    time_to_first_byte_ms, coalesce(
                        transfer_ms, uptimeo_staging.heartbeat_transfer(
                            response_time_ms, time_to_first_byte_ms)),
                    error_message, raw_request_headers, raw_response_headers,
                    raw_response_body, details)%1$s
            FROM pg_temp.adoption_batch b
            JOIN pg_temp.adoption_digests d USING (id, executed_at)
            JOIN uptimeo_staging.heartbeat_traits t USING (digest)
            ORDER BY scheduled_at, b.id
            ON CONFLICT DO NOTHING
            RETURNING id, coalesce(
                (scheduled_at AT TIME ZONE 'UTC') + late_ms::float8 * interval '1 ms',
                uptimeo_staging.heartbeat_executed_at(rest)) AS executed_at)
        INSERT INTO pg_temp.adoption_ties
        SELECT b.* FROM pg_temp.adoption_batch b
        WHERE NOT EXISTS (
            SELECT FROM placed p WHERE p.id = b.id AND p.executed_at = b.executed_at)
        $store$, others);
    GET DIAGNOSTICS moved = ROW_COUNT;
    FOR r IN SELECT * FROM pg_temp.adoption_ties ORDER BY scheduled_at, id LOOP
        LOOP
            SELECT max(h.scheduled_at) + interval '1 microsecond' INTO STRICT r.scheduled_at
            FROM uptimeo_staging.heartbeats h
            WHERE h.monitor_id = r.monitor_id AND h.datacenter_id = r.datacenter_id
              AND h.scheduled_at >= r.scheduled_at
              AND h.scheduled_at < r.scheduled_at + interval '1 ms';
            INSERT INTO uptimeo_staging.heartbeats
            SELECT p.* FROM uptimeo_staging.heartbeat_packed(r) p ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND;
        END LOOP;
    END LOOP;
    SELECT count(*) INTO stored FROM pg_temp.adoption_batch;
    TRUNCATE pg_temp.adoption_batch, pg_temp.adoption_ties, pg_temp.adoption_digests;
END $$;

-- Copies the next older heartbeats by id; true once there are no more.
CREATE OR REPLACE FUNCTION uptimeo_older.copy_next(p_rows int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    a uptimeo_older.adoption;
    v_upto bigint;
    s record;
BEGIN
    SELECT * INTO STRICT a FROM uptimeo_older.adoption FOR UPDATE;
    SELECT max(id) INTO v_upto FROM (
        SELECT id FROM uptimeo_older.converted_ids WHERE id > a.upto AND id <= a.last_id
        ORDER BY id LIMIT p_rows) next;
    IF v_upto IS NULL THEN
        RETURN true;
    END IF;
    INSERT INTO pg_temp.adoption_batch
    SELECT * FROM uptimeo_older.converted_api_heartbeats WHERE id > a.upto AND id <= v_upto;
    s := uptimeo_older.store_batch();
    UPDATE uptimeo_older.adoption
    SET upto = v_upto, copied = copied + s.stored, moved = adoption.moved + s.moved;
    RETURN false;
END $$;

-- Brings what changed in the older table since: as it is there at this moment. Answers with how
-- many changes were taken. A change that comes in between has an entry of its own.
CREATE OR REPLACE FUNCTION uptimeo_older.catch_up(p_rows int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_taken bigint;
    v_last_id bigint;
    c record;
    s record;
BEGIN
    SELECT last_id INTO STRICT v_last_id FROM uptimeo_older.adoption FOR UPDATE;
    WITH gone AS (
        DELETE FROM uptimeo_older.changes
        WHERE n IN (SELECT n FROM uptimeo_older.changes ORDER BY n LIMIT p_rows)
        RETURNING id, executed_at, is_new)
    INSERT INTO pg_temp.adoption_changes SELECT * FROM gone;
    GET DIAGNOSTICS v_taken = ROW_COUNT;
    IF v_taken = 0 THEN
        RETURN 0;
    END IF;
    -- One by one, so that each is found by an index whatever the planner knows of this table.
    FOR c IN
        SELECT DISTINCT id, uptimeo_older.slot(executed_at, id) AS slot,
               coalesce(executed_at, uptimeo_older.slot(NULL, id) AT TIME ZONE 'UTC') AS executed_at
        FROM pg_temp.adoption_changes WHERE NOT is_new OR id <= v_last_id
    LOOP
        DELETE FROM uptimeo_staging.api_heartbeats h
        WHERE h.scheduled_at >= c.slot AND h.scheduled_at < c.slot + interval '1 s'
          AND h.executed_at = c.executed_at AND h.id = c.id;
    END LOOP;
    INSERT INTO pg_temp.adoption_batch
    SELECT v.* FROM (
        SELECT DISTINCT id,
               coalesce(executed_at, uptimeo_older.slot(NULL, id) AT TIME ZONE 'UTC') AS executed_at
        FROM pg_temp.adoption_changes) t
    CROSS JOIN LATERAL (
        SELECT * FROM uptimeo_older.converted_api_heartbeats WHERE id = t.id OFFSET 0) v
    WHERE v.executed_at = t.executed_at;
    TRUNCATE pg_temp.adoption_changes;
    s := uptimeo_older.store_batch();
    UPDATE uptimeo_older.adoption
    SET caught_up = caught_up + s.stored, moved = adoption.moved + s.moved;
    RETURN v_taken;
END $$;
