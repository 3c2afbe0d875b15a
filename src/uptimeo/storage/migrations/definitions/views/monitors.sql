-- Each monitor, without anything that may hold a secret: no URL, no headers, no body, no options.
CREATE OR REPLACE VIEW monitors AS
SELECT m.id AS monitor_id, m.name AS monitor, lower(m.type) AS type, m.enabled,
       s.name AS schedule, s.interval AS interval_s,
       (SELECT array_agg(d.code ORDER BY d.id)
        FROM datacenter_monitors x JOIN datacenters d ON d.id = x.datacenter_id
        WHERE x.monitor_id = m.id) AS datacenters,
       e.reason AS config_error
FROM api_monitors m
LEFT JOIN schedules s ON s.id = m.schedule_id
LEFT JOIN monitor_config_errors e ON e.monitor_id = m.id;
COMMENT ON VIEW monitors IS 'each monitor by name, without what may be secret';
COMMENT ON COLUMN monitors.monitor_id IS 'its id in api_monitors';
COMMENT ON COLUMN monitors.monitor IS 'its name';
COMMENT ON COLUMN monitors.type IS 'the probe type, in small letters';
COMMENT ON COLUMN monitors.enabled IS 'whether it is to be checked';
COMMENT ON COLUMN monitors.schedule IS 'the name of its schedule; NULL: none, nothing is due';
COMMENT ON COLUMN monitors.interval_s IS 'seconds between two checks';
COMMENT ON COLUMN monitors.datacenters IS 'the codes of those in which it runs; NULL: all';
COMMENT ON COLUMN monitors.config_error IS 'why its row cannot be used; NULL: it can';

-- Each monitor in each datacenter where it runs and an agent ever led. The latest heartbeat comes
-- off the end of the primary key; `since` is computed only where it is asked for.
CREATE OR REPLACE VIEW monitor_states AS
SELECT m.monitor_id, m.monitor, d.id AS datacenter_id, d.code AS datacenter,
       CASE WHEN NOT m.enabled THEN 'disabled' WHEN m.config_error IS NOT NULL THEN 'invalid'
            WHEN h.status IS NULL THEN 'pending' ELSE h.status::text END AS state,
       CASE WHEN h.status IS NOT NULL
            THEN status_since(m.monitor_id, d.id, h.status, h.scheduled_at) END AS since,
       h.scheduled_at AS last_slot, h.status, h.response_time_ms, h.response_status_code,
       h.attempts, h.failed_phase, h.error_type, h.error_message,
       m.enabled AND m.config_error IS NULL AND m.interval_s IS NOT NULL
           AND coalesce(h.scheduled_at, '-infinity') < now() - 3 * m.interval_s * interval '1 s'
           AS overdue,
       m.interval_s, m.config_error
FROM monitors m
JOIN datacenters d ON (m.datacenters IS NULL OR d.code = ANY (m.datacenters))
    AND EXISTS (SELECT FROM agent_terms t WHERE t.datacenter_id = d.id)
LEFT JOIN LATERAL (
    SELECT scheduled_at, status, response_time_ms, response_status_code, attempts, failed_phase,
           error_type, error_message
    FROM api_heartbeats
    WHERE monitor_id = m.monitor_id AND datacenter_id = d.id
      AND scheduled_at > now() - interval '25 hours' AND scheduled_at < now() + interval '1 hour'
    ORDER BY scheduled_at DESC LIMIT 1) h ON true;
COMMENT ON VIEW monitor_states IS
    'each monitor in each datacenter where it runs, as its latest heartbeat of the last 25 hours says';
COMMENT ON COLUMN monitor_states.monitor_id IS 'the monitor';
COMMENT ON COLUMN monitor_states.monitor IS 'its name';
COMMENT ON COLUMN monitor_states.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN monitor_states.datacenter IS 'its code';
COMMENT ON COLUMN monitor_states.state IS
    'disabled, invalid (the row cannot be used), pending (no heartbeat), else the status';
COMMENT ON COLUMN monitor_states.since IS
    'since when it has had this status: to the slot within the last day, before it to five minutes or what is kept';
COMMENT ON COLUMN monitor_states.last_slot IS 'the slot of the latest heartbeat';
COMMENT ON COLUMN monitor_states.status IS 'its status: up, degraded, critical, down, unknown';
COMMENT ON COLUMN monitor_states.response_time_ms IS 'its total, in ms';
COMMENT ON COLUMN monitor_states.response_status_code IS 'the code that the target answered';
COMMENT ON COLUMN monitor_states.attempts IS 'how many tries it took';
COMMENT ON COLUMN monitor_states.failed_phase IS 'in which phase it failed; NULL: it did not';
COMMENT ON COLUMN monitor_states.error_type IS 'the error class';
COMMENT ON COLUMN monitor_states.error_message IS 'the reason in words';
COMMENT ON COLUMN monitor_states.overdue IS
    'a check is due, and there was none for three intervals: what is shown is of the past';
COMMENT ON COLUMN monitor_states.interval_s IS 'seconds between two checks';
COMMENT ON COLUMN monitor_states.config_error IS 'why the row cannot be used; NULL: it can';
