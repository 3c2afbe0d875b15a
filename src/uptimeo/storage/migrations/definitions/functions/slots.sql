-- The newest slot of each monitor that a datacenter has a heartbeat for.
CREATE OR REPLACE FUNCTION latest_slots(p_datacenter int) RETURNS TABLE (monitor_id int, slot timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT agent_check(p_datacenter);
    SELECT m.id, h.scheduled_at FROM api_monitors m
    CROSS JOIN LATERAL (
        SELECT scheduled_at FROM api_heartbeats
        WHERE monitor_id = m.id AND datacenter_id = p_datacenter
          AND scheduled_at > now() - interval '25 hours'
        ORDER BY scheduled_at DESC LIMIT 1) h
    WHERE m.enabled
$$;
