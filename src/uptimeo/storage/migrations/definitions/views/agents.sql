-- Each agent that ever ran, until it is forgotten. It reports every ten seconds.
CREATE OR REPLACE VIEW agent_states AS
SELECT d.id AS datacenter_id, d.code AS datacenter, a.name AS agent,
       CASE WHEN i.last_seen < clock_timestamp() - interval '30 s' THEN 'silent'
            WHEN l.term IS NOT NULL THEN 'leads' ELSE 'stands by' END AS state,
       l.term, i.version, i.host, i.started_at, i.last_seen, i.spool_rows, i.spool_bytes, i.dropped,
       i.loop_lag_p99_ms, i.peers_heard
FROM agent_instances i
JOIN agents a ON a.id = i.agent_id
JOIN datacenters d ON d.id = a.datacenter_id
LEFT JOIN agent_leases l ON l.datacenter_id = d.id AND l.holder IS NOT NULL
    AND l.holder_name = a.name AND l.expires_at > clock_timestamp();
COMMENT ON VIEW agent_states IS
    'each agent that ever ran, until it is forgotten: whether it leads, and what it said of itself last';
COMMENT ON COLUMN agent_states.datacenter_id IS 'its datacenter';
COMMENT ON COLUMN agent_states.datacenter IS 'the code of that';
COMMENT ON COLUMN agent_states.agent IS 'its name';
COMMENT ON COLUMN agent_states.state IS
    'leads, stands by, silent (nothing was heard of it for 30 seconds: stopped, or cut off)';
COMMENT ON COLUMN agent_states.term IS 'the term it leads; NULL: it does not';
COMMENT ON COLUMN agent_states.version IS 'what it runs';
COMMENT ON COLUMN agent_states.host IS 'the name of its host';
COMMENT ON COLUMN agent_states.started_at IS 'since when it runs';
COMMENT ON COLUMN agent_states.last_seen IS 'when it reported last';
COMMENT ON COLUMN agent_states.spool_rows IS 'heartbeats that wait on its disk';
COMMENT ON COLUMN agent_states.spool_bytes IS 'bytes in use by its spool';
COMMENT ON COLUMN agent_states.dropped IS 'heartbeats lost since its start';
COMMENT ON COLUMN agent_states.loop_lag_p99_ms IS
    'how late its event loop was 99 times of 100 at most, in ms; NULL: not known yet';
COMMENT ON COLUMN agent_states.peers_heard IS 'how many agents of its datacenter it hears';
