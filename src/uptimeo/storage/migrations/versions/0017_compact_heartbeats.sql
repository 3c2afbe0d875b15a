-- Heartbeats in half the room. What a target says again and again is stored once; `api_heartbeats`
-- is a view that shows both together, made with the other views. docs/adr/0026 has the figures.

CREATE TABLE heartbeat_traits (
    id                     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_used              date NOT NULL,
    term                   int,
    agent_id               int,
    response_status_code   int,
    warning_threshold_ms   int,
    critical_threshold_ms  int,
    attempts               smallint NOT NULL,
    success                boolean,
    http_version           varchar(3),
    failed_phase           varchar(10),
    error_type             varchar(50),
    resolved_ip            inet,
    response_content_type  varchar(50),
    response_server        varchar(50),
    response_cache_status  varchar(50),
    digest                 bytea NOT NULL UNIQUE
);
COMMENT ON TABLE heartbeat_traits IS
    'what many heartbeats have in common, once; the columns are those of api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.id IS 'what heartbeats.traits_id names';
COMMENT ON COLUMN heartbeat_traits.last_used IS
    'the newest UTC day of a slot that has them; they go when no partition is that old';
COMMENT ON COLUMN heartbeat_traits.term IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.agent_id IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.response_status_code IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.warning_threshold_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.critical_threshold_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.attempts IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.success IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.http_version IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.failed_phase IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.error_type IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.resolved_ip IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.response_content_type IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.response_server IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.response_cache_status IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeat_traits.digest IS 'heartbeat_digest of the columns: finds them';

-- The form of the rows. Never replaced: what is stored and indexed depends on it.

CREATE FUNCTION heartbeat_digest(
    p_term int, p_agent int, p_code int, p_warning int, p_critical int, p_attempts smallint,
    p_success boolean, p_version text, p_phase text, p_error text, p_ip inet, p_type text,
    p_server text, p_cache text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(convert_to(ROW(p_term, p_agent, p_code, p_warning, p_critical, p_attempts, p_success,
    p_version, p_phase, p_error, p_ip, p_type, p_server, p_cache)::text, 'UTF8'));

-- From the slot to the start, in ms. Four bytes have room for microseconds up to eight seconds;
-- NULL where they have not, and the start is in `rest`.
CREATE FUNCTION heartbeat_late(p_scheduled_at timestamptz, p_executed_at timestamp) RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN isfinite(p_executed_at)
    AND abs(extract(epoch FROM p_executed_at - (p_scheduled_at AT TIME ZONE 'UTC'))) < 100000
    AND (p_scheduled_at AT TIME ZONE 'UTC') + (1000 * extract(epoch FROM
        p_executed_at - (p_scheduled_at AT TIME ZONE 'UTC')))::real::float8 * interval '1 ms'
        = p_executed_at
    THEN (1000 * extract(epoch FROM p_executed_at - (p_scheduled_at AT TIME ZONE 'UTC')))::real END;

-- Immutable, as the text was made by this release: ISO 8601.
CREATE FUNCTION heartbeat_executed_at(p_rest text) RETURNS timestamp
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_rest::json ->> 'executed_at')::timestamp;

-- Total and first byte say how long the transfer took, to the microsecond.
CREATE FUNCTION heartbeat_transfer(p_total_ms real, p_first_byte_ms real) RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (round((p_total_ms::float8 - p_first_byte_ms::float8) * 1000) / 1000)::real;

-- Whether they do: NULL is another thing, where it is not known how long the transfer took.
CREATE FUNCTION heartbeat_transfer_fits(p_total_ms real, p_first_byte_ms real, p_transfer_ms real)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_total_ms IS NULL OR p_first_byte_ms IS NULL THEN p_transfer_ms IS NULL
    ELSE abs(p_transfer_ms - heartbeat_transfer(p_total_ms, p_first_byte_ms)) < 0.0015 END
    IS TRUE;

CREATE FUNCTION heartbeat_parts(
    p_executed_at timestamp, p_redirect_ms real, p_transfer jsonb, p_message text,
    p_request_headers jsonb, p_response_headers jsonb, p_response_body jsonb, p_details jsonb
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(key, value)::text, '') FROM (VALUES
        ('executed_at', to_jsonb(p_executed_at)),
        ('redirect_ms', to_jsonb(p_redirect_ms)),
        ('transfer_ms', p_transfer),
        ('error_message', to_jsonb(p_message)),
        ('raw_request_headers', p_request_headers),
        ('raw_response_headers', p_response_headers),
        ('raw_response_body', p_response_body),
        ('details', p_details)) parts (key, value)
    WHERE value IS NOT NULL;
END;

-- What few heartbeats have, as the text of a JSON object; '' for the others: an empty text takes
-- one byte, an empty jsonb five, and a NULL eight, since then the row needs a null bitmap.
-- Without a subquery it is computed in place: 2 us for those others, not 19.
CREATE FUNCTION heartbeat_rest(
    p_scheduled_at timestamptz, p_executed_at timestamp, p_redirect_ms real, p_total_ms real,
    p_first_byte_ms real, p_transfer_ms real, p_message text, p_request_headers jsonb,
    p_response_headers jsonb, p_response_body jsonb, p_details jsonb
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN num_nulls(p_redirect_ms, p_message, p_request_headers, p_response_headers,
            p_response_body, p_details) = 6
        AND heartbeat_late(p_scheduled_at, p_executed_at) IS NOT NULL
        AND heartbeat_transfer_fits(p_total_ms, p_first_byte_ms, p_transfer_ms) THEN ''
    ELSE heartbeat_parts(
        CASE WHEN heartbeat_late(p_scheduled_at, p_executed_at) IS NULL THEN p_executed_at END,
        p_redirect_ms,
        CASE WHEN NOT heartbeat_transfer_fits(p_total_ms, p_first_byte_ms, p_transfer_ms)
             THEN coalesce(to_jsonb(p_transfer_ms), 'null') END,
        p_message, p_request_headers, p_response_headers, p_response_body, p_details) END;

-- One letter for each status.
CREATE FUNCTION heartbeat_letter(p_status text) RETURNS "char"
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_status WHEN 'up' THEN 'u' WHEN 'degraded' THEN 's' WHEN 'critical' THEN 'c'
                     WHEN 'down' THEN 'd' WHEN 'unknown' THEN '?' END::"char";

-- The view needs the others, whoever reads it.
REVOKE ALL ON FUNCTION heartbeat_digest, heartbeat_late, heartbeat_transfer_fits, heartbeat_parts,
    heartbeat_rest, heartbeat_letter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heartbeat_executed_at, heartbeat_transfer TO PUBLIC;

-- In order of alignment, 64 bytes without NULL: each column more may cost eight.
CREATE TABLE heartbeats (
    id                     bigint NOT NULL DEFAULT nextval('api_heartbeats_id_seq'),
    scheduled_at           timestamptz NOT NULL,
    late_ms                real,
    monitor_id             int NOT NULL,
    traits_id              int NOT NULL,
    response_size_bytes    int,
    response_time_ms       real,
    dns_lookup_ms          real,
    tcp_connect_ms         real,
    tls_handshake_ms       real,
    send_ms                real,
    wait_ms                real,
    time_to_first_byte_ms  real,
    datacenter_id          smallint NOT NULL,
    status                 "char" NOT NULL CHECK (status IN ('u', 's', 'c', 'd', '?')),
    rest                   text NOT NULL DEFAULT '',
    CONSTRAINT heartbeats_executed CHECK (
        late_ms IS NOT NULL OR heartbeat_executed_at(nullif(rest, '')) IS NOT NULL),
    PRIMARY KEY (monitor_id, datacenter_id, scheduled_at)
) PARTITION BY RANGE (scheduled_at);
-- Serves the query that everybody types: ORDER BY executed_at DESC LIMIT 10. The expression is
-- that of the view.
CREATE INDEX heartbeats_executed_at ON heartbeats (coalesce(
    (scheduled_at AT TIME ZONE 'UTC') + late_ms::float8 * interval '1 ms',
    heartbeat_executed_at(rest)));
-- No healthy heartbeat is in it. The expression is that of the view.
CREATE INDEX heartbeats_failed ON heartbeats (scheduled_at)
    WHERE CASE status WHEN 'u' THEN 'up' WHEN 's' THEN 'degraded' WHEN 'c' THEN 'critical'
                      WHEN 'd' THEN 'down' WHEN '?' THEN 'unknown' END IN ('down', 'unknown');
COMMENT ON TABLE heartbeats IS
    'what each slot of each monitor came to in each datacenter, packed; partitions of a day, UTC. Read api_heartbeats, which shows it whole';
COMMENT ON COLUMN heartbeats.id IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.scheduled_at IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.late_ms IS
    'from the slot to the start; NULL: it does not fit, and rest has executed_at';
COMMENT ON COLUMN heartbeats.monitor_id IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.traits_id IS 'which heartbeat_traits it has';
COMMENT ON COLUMN heartbeats.response_size_bytes IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.response_time_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.dns_lookup_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.tcp_connect_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.tls_handshake_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.send_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.wait_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.time_to_first_byte_ms IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.datacenter_id IS 'as in api_heartbeats';
COMMENT ON COLUMN heartbeats.status IS 'u up, s degraded (slow), c critical, d down, ? unknown';
COMMENT ON COLUMN heartbeats.rest IS
    'JSON of what few rows have: redirect_ms, error_message, headers, body, details; empty: nothing';

DO $$
DECLARE
    beyond CONSTANT int := (SELECT id FROM datacenters WHERE id NOT BETWEEN 0 AND 32767 LIMIT 1);
BEGIN
    IF beyond IS NOT NULL THEN
        RAISE wrong_object_type USING MESSAGE = format(
            'the datacenter %s has to have an id from 0 to 32767: heartbeats have two bytes for it',
            beyond);
    END IF;
END $$;
ALTER TABLE datacenters ADD CONSTRAINT datacenters_id_fits CHECK (id BETWEEN 0 AND 32767);

-- What reads the table is made again with the views of the release.
DROP VIEW IF EXISTS failures, leadership_overlaps, monitor_states;

-- The rows that are there, and whatever hangs on their table. Writers wait until it is done, and
-- agents keep their heartbeats meanwhile; readers wait for the end alone.
LOCK TABLE api_heartbeats IN SHARE ROW EXCLUSIVE MODE;
DO $$
DECLARE
    readers CONSTANT text := (
        SELECT string_agg(DISTINCT r.ev_class::regclass::text, ', ') FROM pg_depend d
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'api_heartbeats'::regclass);
    own name[] := '{}';
    others text;
    c record;
    p record;
    t text;
BEGIN
    IF readers IS NOT NULL THEN
        RAISE wrong_object_type USING MESSAGE = format(
            'api_heartbeats becomes a view, and %s read it: note their definitions, drop them, run'
            ' `uptimeo migrate` again, and make them anew', readers);
    END IF;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'api_heartbeats'::regclass) THEN
        RAISE wrong_object_type USING MESSAGE =
            'api_heartbeats becomes a view, which has no row-level security, and who may read it'
            ' would read all of it: revoke that right from those who may not, disable row-level'
            ' security on it, run `uptimeo migrate` again, and give them a view of your own';
    END IF;
    -- Columns that somebody added.
    FOR c IN
        SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute
        WHERE attrelid = 'api_heartbeats'::regclass AND attnum > 0 AND NOT attisdropped
          AND attname NOT IN ('executed_at', 'transfer_ms', 'redirect_ms', 'error_message',
              'raw_request_headers', 'raw_response_headers', 'raw_response_body', 'details')
          AND attname NOT IN (SELECT attname FROM pg_attribute WHERE attrelid IN (
              'heartbeats'::regclass, 'heartbeat_traits'::regclass))
        ORDER BY attnum
    LOOP
        EXECUTE format('ALTER TABLE heartbeats ADD COLUMN %I %s', c.attname, c.kind);
        own := own || c.attname;
        others := concat(others, ', ', quote_ident(c.attname));
    END LOOP;

    INSERT INTO heartbeat_traits (
        last_used, term, agent_id, response_status_code, warning_threshold_ms,
        critical_threshold_ms, attempts, success, http_version, failed_phase, error_type,
        resolved_ip, response_content_type, response_server, response_cache_status, digest)
    SELECT max((scheduled_at AT TIME ZONE 'UTC')::date), term, agent_id, response_status_code,
           warning_threshold_ms, critical_threshold_ms, attempts, success, http_version,
           failed_phase, error_type, resolved_ip, response_content_type, response_server,
           response_cache_status, heartbeat_digest(
               term, agent_id, response_status_code, warning_threshold_ms, critical_threshold_ms,
               attempts, success, http_version, failed_phase, error_type, resolved_ip,
               response_content_type, response_server, response_cache_status)
    FROM api_heartbeats
    GROUP BY term, agent_id, response_status_code, warning_threshold_ms, critical_threshold_ms,
             attempts, success, http_version, failed_phase, error_type, resolved_ip,
             response_content_type, response_server, response_cache_status;
    ANALYZE heartbeat_traits;

    FOR p IN
        SELECT x.relname, pg_get_expr(x.relpartbound, x.oid) AS bound
        FROM pg_inherits i JOIN pg_class x ON x.oid = i.inhrelid
        WHERE i.inhparent = 'api_heartbeats'::regclass AND NOT i.inhdetachpending
        ORDER BY x.relname
    LOOP
        t := regexp_replace(p.relname, '^api_', '');
        IF t = p.relname THEN
            t := 'heartbeats_of_' || t;
        END IF;
        EXECUTE format(
            'CREATE TABLE %I (LIKE heartbeats INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH'
            ' (autovacuum_vacuum_insert_scale_factor = 0,'
            ' autovacuum_vacuum_insert_threshold = 500000, autovacuum_freeze_min_age = 0)', t);
        EXECUTE format($copy$
            INSERT INTO %I (
                id, scheduled_at, late_ms, monitor_id, traits_id, response_size_bytes,
                response_time_ms, dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms,
                wait_ms, time_to_first_byte_ms, datacenter_id, status, rest%s)
            SELECT h.id, h.scheduled_at, heartbeat_late(h.scheduled_at, h.executed_at),
                h.monitor_id, t.id, h.response_size_bytes, h.response_time_ms, h.dns_lookup_ms,
                h.tcp_connect_ms, h.tls_handshake_ms, h.send_ms, h.wait_ms,
                h.time_to_first_byte_ms, h.datacenter_id, heartbeat_letter(h.status),
                heartbeat_rest(h.scheduled_at, h.executed_at, h.redirect_ms, h.response_time_ms,
                    h.time_to_first_byte_ms,
                    CASE WHEN h.term IS NULL THEN coalesce(h.transfer_ms, heartbeat_transfer(
                        h.response_time_ms, h.time_to_first_byte_ms)) ELSE h.transfer_ms END,
                    h.error_message, h.raw_request_headers, h.raw_response_headers,
                    h.raw_response_body, h.details)
                %s
            FROM %I h JOIN heartbeat_traits t ON t.digest = heartbeat_digest(
                h.term, h.agent_id, h.response_status_code, h.warning_threshold_ms,
                h.critical_threshold_ms, h.attempts, h.success, h.http_version, h.failed_phase,
                h.error_type, h.resolved_ip, h.response_content_type, h.response_server,
                h.response_cache_status)
            ORDER BY h.scheduled_at $copy$, t, others, others, p.relname);
        EXECUTE format('ALTER TABLE heartbeats ATTACH PARTITION %I %s', t, p.bound);
    END LOOP;

    -- Until the view is made it has a place holder, which keeps the rights. Columns that somebody
    -- added stand last, as in the view, which may not change their order.
    ALTER SEQUENCE api_heartbeats_id_seq OWNED BY heartbeats.id;
    ALTER TABLE api_heartbeats RENAME TO api_heartbeats_before;
    EXECUTE (
        SELECT format('CREATE VIEW api_heartbeats AS SELECT %s WHERE false', string_agg(
            format('NULL::%s AS %I', CASE attname WHEN 'datacenter_id' THEN 'smallint'
                WHEN 'status' THEN 'text' ELSE format_type(atttypid, atttypmod) END, attname),
            ', ' ORDER BY attname = ANY (own), attnum))
        FROM pg_attribute
        WHERE attrelid = 'api_heartbeats_before'::regclass AND attnum > 0 AND NOT attisdropped);
    FOR c IN
        SELECT format('GRANT %s%s ON api_heartbeats TO %s%s', g.privilege_type, x.columns,
            CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
            CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
        FROM (
            SELECT '' AS columns, relacl AS acl FROM pg_class
            WHERE oid = 'api_heartbeats_before'::regclass
            UNION ALL SELECT format(' (%I)', attname), attacl FROM pg_attribute
            WHERE attrelid = 'api_heartbeats_before'::regclass AND NOT attisdropped) x,
            aclexplode(x.acl) g
        WHERE g.grantee <> (
            SELECT relowner FROM pg_class WHERE oid = 'api_heartbeats_before'::regclass)
    LOOP
        EXECUTE c.statement;
    END LOOP;
    DROP TABLE api_heartbeats_before;
END $$;
DROP FUNCTION IF EXISTS heartbeat_complete();

UPDATE partition_plans SET outlives = NULL WHERE outlives = 'api_heartbeats';
UPDATE partition_plans SET parent = 'heartbeats' WHERE parent = 'api_heartbeats';
UPDATE partition_plans SET outlives = 'heartbeats' WHERE parent = 'heartbeats_5m';
COMMENT ON COLUMN partition_plans.parent IS
    'its partitions are named after it and their first day: heartbeats_20260131';
