-- How many of the checks of a bucket had a status.
CREATE OR REPLACE FUNCTION status_count(
    p_status text, p_up int, p_degraded int, p_critical int, p_down int, p_unknown int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_status WHEN 'up' THEN p_up WHEN 'degraded' THEN p_degraded
    WHEN 'critical' THEN p_critical WHEN 'down' THEN p_down WHEN 'unknown' THEN p_unknown END;

-- Since when the checks of a monitor in a datacenter have had the status that the one of `p_slot`
-- has: to the slot within the last day, before it to five minutes; where only hours or days are
-- left, to these. Rollups say where to look, so that a month without a change costs as little as
-- an hour. If there never was another status, it is the first check that is known.
CREATE OR REPLACE FUNCTION status_since(
    p_monitor int, p_datacenter int, p_status text, p_slot timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    -- Until when five minutes, hours, days are rolled up.
    ends timestamptz[] := ARRAY(
        SELECT rolled_until FROM rollup_progress WHERE datacenter_id = p_datacenter ORDER BY level);
    a_day_ago CONSTANT timestamptz := now() - interval '1 day';
    raw_from timestamptz := greatest(coalesce(ends[1], '-infinity'), a_day_ago);
    other timestamptz;
    five timestamptz;
    hour timestamptz;
    day timestamptz;
BEGIN
    SELECT max(scheduled_at) INTO other FROM api_heartbeats
    WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
      AND scheduled_at >= raw_from AND scheduled_at < p_slot AND status <> p_status;
    IF other IS NULL THEN
        SELECT max(bucket) INTO five FROM heartbeats_5m
        WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
          AND bucket >= coalesce(ends[2], '-infinity') AND bucket < ends[1]
          AND checks <> status_count(p_status, up, degraded, critical, down, unknown);
        IF five IS NULL THEN
            SELECT max(bucket) INTO hour FROM heartbeats_1h
            WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
              AND bucket >= coalesce(ends[3], '-infinity') AND bucket < ends[2]
              AND checks <> status_count(p_status, up, degraded, critical, down, unknown);
            IF hour IS NULL THEN
                SELECT max(bucket) INTO day FROM heartbeats_1d
                WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter AND bucket < ends[3]
                  AND checks <> status_count(p_status, up, degraded, critical, down, unknown);
                SELECT max(bucket) INTO hour FROM heartbeats_1h
                WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
                  AND bucket >= day AND bucket < day + interval '1 day'
                  AND checks <> status_count(p_status, up, degraded, critical, down, unknown);
            END IF;
            SELECT max(bucket) INTO five FROM heartbeats_5m
            WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
              AND bucket >= hour AND bucket < hour + interval '1 hour'
              AND checks <> status_count(p_status, up, degraded, critical, down, unknown);
        END IF;
        IF five >= a_day_ago THEN
            SELECT max(scheduled_at) INTO other FROM api_heartbeats
            WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
              AND scheduled_at >= five AND scheduled_at < five + interval '5 min'
              AND status <> p_status;
        END IF;
    END IF;
    IF other IS NOT NULL THEN
        RETURN (SELECT min(scheduled_at) FROM api_heartbeats
                WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
                  AND scheduled_at > other AND scheduled_at <= p_slot);
    END IF;
    RETURN coalesce(five + interval '5 min', hour + interval '1 hour', day + interval '1 day',
                    monitor_begin(p_monitor, p_datacenter), (
        SELECT min(scheduled_at) FROM api_heartbeats
        WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter
          AND scheduled_at >= raw_from AND scheduled_at <= p_slot));
END $$;

-- The first bucket in which a monitor was checked in a datacenter, as finely as it is still known.
CREATE OR REPLACE FUNCTION monitor_begin(p_monitor int, p_datacenter int) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT least(
        (SELECT min(bucket) FROM heartbeats_5m f
         WHERE f.monitor_id = p_monitor AND f.datacenter_id = p_datacenter AND f.checks > 0
           AND f.bucket >= d.first AND f.bucket < d.first + interval '1 day'),
        (SELECT min(bucket) FROM heartbeats_5m f
         WHERE f.monitor_id = p_monitor AND f.datacenter_id = p_datacenter AND f.checks > 0
           AND d.first IS NULL),
        (SELECT d.first WHERE NOT EXISTS (
            SELECT FROM heartbeats_5m f
            WHERE f.monitor_id = p_monitor AND f.datacenter_id = p_datacenter AND f.checks > 0
              AND f.bucket >= d.first AND f.bucket < d.first + interval '1 day')))
    FROM (SELECT min(bucket) AS first FROM heartbeats_1d
          WHERE monitor_id = p_monitor AND datacenter_id = p_datacenter AND checks > 0) d
$$;

-- What a monitor is about: its URL for who may read that, else no more of it than scheme and host,
-- since the rest may hold a password or a token.
CREATE OR REPLACE FUNCTION monitor_target(p_monitor int) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN has_column_privilege(session_user, 'api_monitors', 'url', 'SELECT') THEN url
        ELSE coalesce(array_to_string(regexp_match(url,
            '^([a-zA-Z][a-zA-Z0-9+.-]*://)(?:[^/?#@]*@)?([^/?#@]+)(?:[/?#][^@]*)?$'), ''),
            '(hidden)') END
    FROM api_monitors WHERE id = p_monitor
$$;
