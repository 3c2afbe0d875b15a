-- Heartbeats that come as rows of the view `api_heartbeats`: those of older agents, of an adoption,
-- of people. Agents of this release send batches to heartbeats_ingest.

-- The number of these traits; they are noted if nobody had them, or not since an earlier day.
CREATE OR REPLACE FUNCTION heartbeat_traits_of(p api_heartbeats) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_digest CONSTANT bytea := heartbeat_digest(
        p.term, p.agent_id, p.response_status_code, p.warning_threshold_ms,
        p.critical_threshold_ms, p.attempts, p.success, p.http_version, p.failed_phase,
        p.error_type, p.resolved_ip, p.response_content_type, p.response_server,
        p.response_cache_status);
    v_day CONSTANT date := (p.scheduled_at AT TIME ZONE 'UTC')::date;
    found_id int := (
        SELECT id FROM heartbeat_traits WHERE digest = v_digest AND last_used >= v_day);
BEGIN
    IF found_id IS NULL THEN
        INSERT INTO heartbeat_traits AS t (
            last_used, term, agent_id, response_status_code, warning_threshold_ms,
            critical_threshold_ms, attempts, success, http_version, failed_phase, error_type,
            resolved_ip, response_content_type, response_server, response_cache_status, digest)
        VALUES (
            v_day, p.term, p.agent_id, p.response_status_code, p.warning_threshold_ms,
            p.critical_threshold_ms, p.attempts, p.success, p.http_version, p.failed_phase,
            p.error_type, p.resolved_ip, p.response_content_type, p.response_server,
            p.response_cache_status, v_digest)
        ON CONFLICT (digest) DO UPDATE SET last_used = greatest(t.last_used, excluded.last_used)
        RETURNING id INTO found_id;
    END IF;
    RETURN found_id;
END $$;

-- The row that holds it, with the columns that somebody added. Where nobody says how long the
-- transfer took, the other figures do. Plans are made by index, as for heartbeats_store.
CREATE OR REPLACE FUNCTION heartbeat_packed(p api_heartbeats) RETURNS heartbeats
LANGUAGE plpgsql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    r heartbeats := jsonb_populate_record(NULL::heartbeats, to_jsonb(p));
BEGIN
    r.traits_id := heartbeat_traits_of(p);
    r.late_ms := heartbeat_late(p.scheduled_at, p.executed_at);
    r.status := heartbeat_letter(p.status);
    r.rest := heartbeat_rest(
        p.scheduled_at, p.executed_at, p.redirect_ms, p.response_time_ms, p.time_to_first_byte_ms,
        coalesce(p.transfer_ms, heartbeat_transfer(p.response_time_ms, p.time_to_first_byte_ms)),
        p.error_message, p.raw_request_headers, p.raw_response_headers, p.raw_response_body,
        p.details);
    RETURN r;
END $$;

-- An INSERT that names only the columns of older installations is a whole heartbeat too: its
-- datacenter is that of its agent (0 if nobody knows it), its status follows from its figures. Its
-- slot is the column's default.
CREATE OR REPLACE FUNCTION heartbeat_written() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM heartbeats WHERE monitor_id = OLD.monitor_id
            AND datacenter_id = OLD.datacenter_id AND scheduled_at = OLD.scheduled_at;
        IF NOT FOUND THEN
            -- Gone, or changed by somebody whom the DELETE waited for: told, not passed over.
            IF EXISTS (SELECT FROM heartbeats WHERE monitor_id = OLD.monitor_id
                AND datacenter_id = OLD.datacenter_id AND scheduled_at = OLD.scheduled_at)
            THEN
                RAISE serialization_failure USING MESSAGE = format(
                    'the heartbeat of monitor %s in datacenter %s at %s was changed by somebody'
                    ' else at this moment: try again',
                    OLD.monitor_id, OLD.datacenter_id, OLD.scheduled_at);
            END IF;
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.datacenter_id := coalesce(
        NEW.datacenter_id, (SELECT datacenter_id FROM agents WHERE id = NEW.agent_id), 0);
    NEW.status := coalesce(NEW.status, heartbeat_status(
        NEW.success, NEW.response_time_ms, NEW.warning_threshold_ms, NEW.critical_threshold_ms));
    INSERT INTO heartbeats SELECT packed.* FROM heartbeat_packed(NEW) packed;
    RETURN NEW;
END $$;

-- What a check that was no more than a success and a total time is called.
CREATE OR REPLACE FUNCTION heartbeat_status(
    p_success boolean, p_total_ms real, p_warning_ms int, p_critical_ms int
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_success IS NULL THEN 'unknown' WHEN NOT p_success THEN 'down'
                WHEN p_total_ms > p_critical_ms THEN 'critical'
                WHEN p_total_ms > p_warning_ms THEN 'degraded' ELSE 'up' END
$$;
