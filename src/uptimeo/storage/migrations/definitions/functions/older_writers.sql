-- An INSERT that names only the columns of older installations is a whole heartbeat too: its
-- datacenter is that of its agent (0 if nobody knows it), its status follows from its figures. Its
-- slot is the column's default. Heartbeats that say both never come here.
CREATE OR REPLACE FUNCTION heartbeat_complete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.datacenter_id := coalesce(
        NEW.datacenter_id, (SELECT datacenter_id FROM agents WHERE id = NEW.agent_id), 0);
    NEW.status := coalesce(NEW.status, heartbeat_status(
        NEW.success, NEW.response_time_ms, NEW.warning_threshold_ms, NEW.critical_threshold_ms));
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

CREATE OR REPLACE TRIGGER complete BEFORE INSERT ON api_heartbeats
    FOR EACH ROW WHEN (NEW.datacenter_id IS NULL OR NEW.status IS NULL)
    EXECUTE FUNCTION heartbeat_complete();
