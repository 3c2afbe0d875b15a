-- Who led when, who stands by, and whether two were ever active: each one query.

ALTER TABLE agent_terms ADD COLUMN released_at timestamptz;
COMMENT ON COLUMN agent_terms.released_at IS
    'when the leader gave the term back; NULL if it died, or still leads';

CREATE OR REPLACE FUNCTION lease_release(p_datacenter int, p_candidate uuid, p_term bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE agent_leases
    SET holder = NULL, holder_name = NULL, expires_at = '-infinity', seq = seq + 1
    WHERE datacenter_id = p_datacenter AND holder = p_candidate AND term = p_term;
    IF FOUND THEN
        UPDATE agent_terms SET released_at = clock_timestamp()
        WHERE datacenter_id = p_datacenter AND term = p_term;
        PERFORM pg_notify('uptimeo_lease_' || p_datacenter, p_term::text);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Every process that runs an agent, leader or not; it reports every ten seconds.
CREATE TABLE agent_instances (
    agent_id      int PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
    version       text NOT NULL,
    host          text NOT NULL,
    pid           int NOT NULL,
    started_at    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    term          bigint,
    spool_rows    bigint NOT NULL,
    spool_bytes   bigint NOT NULL,
    dropped       bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN agent_instances.term IS 'the term it leads, NULL for a standby';
COMMENT ON COLUMN agent_instances.dropped IS
    'heartbeats since its start that were dropped for want of space or lost to damage';

CREATE VIEW leadership AS
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
CREATE VIEW leadership_overlaps AS
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

-- The newest slot of each monitor that a datacenter has a heartbeat for.
CREATE FUNCTION latest_slots(p_datacenter int) RETURNS TABLE (monitor_id int, slot timestamptz)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT m.id, h.scheduled_at FROM api_monitors m
    CROSS JOIN LATERAL (
        SELECT scheduled_at FROM api_heartbeats
        WHERE monitor_id = m.id AND datacenter_id = p_datacenter
          AND scheduled_at > now() - interval '25 hours'
        ORDER BY scheduled_at DESC LIMIT 1) h
    WHERE m.enabled
$$;
