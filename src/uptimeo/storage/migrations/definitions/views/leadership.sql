CREATE OR REPLACE VIEW leadership AS
SELECT d.id AS datacenter_id, d.code AS datacenter, t.term, t.holder_name AS leader, t.started_at,
       least(t.released_at, next.started_at) AS ended_at,
       t.term = l.term AND l.holder IS NOT NULL AND l.expires_at > clock_timestamp() AS leads_now
FROM agent_terms t
JOIN datacenters d ON d.id = t.datacenter_id
JOIN agent_leases l ON l.datacenter_id = t.datacenter_id
LEFT JOIN agent_terms next ON next.datacenter_id = t.datacenter_id AND next.term = t.term + 1;
COMMENT ON VIEW leadership IS
    'the history of terms; ended_at of a leader that died is when the next one began';

-- Were two leaders ever active? A row here is a check that ran under a term after the next began.
CREATE OR REPLACE VIEW leadership_overlaps AS
SELECT h.datacenter_id, h.term, h.monitor_id, h.executed_at AT TIME ZONE 'UTC' AS executed_at,
       next.started_at AS next_term_began, true AS counted
FROM api_heartbeats h
JOIN agent_terms next ON next.datacenter_id = h.datacenter_id AND next.term = h.term + 1
WHERE h.executed_at AT TIME ZONE 'UTC' >= next.started_at
UNION ALL
SELECT a.datacenter_id, (p ->> 'term')::bigint, (p ->> 'monitor_id')::int,
       (p ->> 'executed_at')::timestamptz, next.started_at, false
FROM api_heartbeats_set_aside a
CROSS JOIN LATERAL (SELECT a.payload::jsonb AS p) j
JOIN agent_terms next ON next.datacenter_id = a.datacenter_id
    AND next.term = (p ->> 'term')::bigint + 1
WHERE a.reason = 'executed after its term';
COMMENT ON VIEW leadership_overlaps IS
    'checks that ran after their term; counted is always false: the fence set them aside';
COMMENT ON COLUMN leadership.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN leadership.datacenter IS 'its code';
COMMENT ON COLUMN leadership.term IS 'the number of the leadership, counted in each datacenter';
COMMENT ON COLUMN leadership.leader IS 'the name of the agent';
COMMENT ON COLUMN leadership.started_at IS 'when it began';
COMMENT ON COLUMN leadership.ended_at IS 'when it was given back, or the next began; NULL: it goes on';
COMMENT ON COLUMN leadership.leads_now IS 'whether its lease is in force';
COMMENT ON COLUMN leadership_overlaps.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN leadership_overlaps.term IS 'under which the check ran';
COMMENT ON COLUMN leadership_overlaps.monitor_id IS 'the monitor';
COMMENT ON COLUMN leadership_overlaps.executed_at IS 'when it ran';
COMMENT ON COLUMN leadership_overlaps.next_term_began IS 'when the next term began';
COMMENT ON COLUMN leadership_overlaps.counted IS 'whether it is among the heartbeats';
