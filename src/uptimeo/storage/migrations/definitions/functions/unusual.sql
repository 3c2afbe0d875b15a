-- Heartbeats that an agent in order does not make, from the UTC day of a moment on. What was stored
-- but should not be there is seen in the rollups, which count it: of the last 30 days at most, and
-- the shorter the time, the less is read.
CREATE OR REPLACE FUNCTION unusual_heartbeats_since(p_since timestamptz)
RETURNS TABLE (day timestamptz, datacenter_id int, datacenter text, kind text, rows bigint,
               first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT a.day, a.datacenter_id, a.datacenter, 'set aside: ' || a.kind, a.rows,
           a.first_received, a.last_received
    FROM set_aside_heartbeats a
    WHERE a.day > p_since - interval '1 day'
    UNION ALL
    SELECT date_trunc('day', r.bucket, 'UTC'), r.datacenter_id, d.code, CASE
               WHEN d.id IS NULL THEN 'datacenter that is not there'
               WHEN r.expected = 0 THEN 'not due there and then'
               ELSE 'more than were due' END,
           sum(r.checks - r.expected), min(r.bucket), max(r.bucket)
    FROM heartbeats_1h r
    LEFT JOIN datacenters d ON d.id = r.datacenter_id
    WHERE r.bucket >= date_trunc('day', greatest(p_since, now() - interval '30 days'), 'UTC')
      -- One more may come of a change of the grid within the hour.
      AND (r.checks > r.expected + 1 OR (r.checks > 0 AND (r.expected = 0 OR d.id IS NULL)))
    GROUP BY 1, 2, 3, 4
$$;
COMMENT ON FUNCTION unusual_heartbeats_since IS
    'the view unusual_heartbeats from the UTC day of a moment on; the later, the less is read';
