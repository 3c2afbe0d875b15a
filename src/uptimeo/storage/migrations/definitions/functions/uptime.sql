-- How a window is put together: buckets of five minutes to `hours_from`, of an hour to `days_from`,
-- of a day to `days_to`, of an hour to `hours_to`, of five minutes to `window_end`. Its ends are
-- those of five minutes, of an hour where only hours are left, of a day where only days are; the
-- last is not beyond what is rolled up.
CREATE OR REPLACE FUNCTION rollup_window(p_from timestamptz, p_to timestamptz, p_datacenters int[])
RETURNS TABLE (window_start timestamptz, hours_from timestamptz, days_from timestamptz,
               days_to timestamptz, hours_to timestamptz, window_end timestamptz)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    fine CONSTANT timestamptz := partitions_begin('heartbeats_5m');
    coarse CONSTANT timestamptz := partitions_begin('heartbeats_1h');
    until timestamptz[];
BEGIN
    IF NOT (isfinite(p_from) AND isfinite(p_to) AND p_from <= p_to) THEN
        RAISE EXCEPTION 'a window needs a start and an end after it, not % and %', p_from, p_to
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(least(rolled, clock_timestamp()) ORDER BY level) INTO until FROM (
        SELECT l.level, min(p.rolled_until) AS rolled
        FROM unnest('{5,60,1440}'::int[]) l (level)
        LEFT JOIN rollup_progress p ON p.level = l.level
            AND (p_datacenters IS NULL OR p.datacenter_id = ANY (p_datacenters))
        GROUP BY l.level) levels;
    window_start := rollup_bucket(
        CASE WHEN p_from < coarse THEN 1440 WHEN p_from < fine THEN 60 ELSE 5 END, p_from);
    window_end := greatest(window_start, least(rollup_bucket(5, until[1]), rollup_ceiling(
        CASE WHEN p_to < coarse THEN 1440 WHEN p_to < fine THEN 60 ELSE 5 END, p_to)));
    hours_from := rollup_ceiling(60, window_start);
    hours_to := rollup_bucket(60, least(window_end, until[2]));
    IF hours_from >= hours_to THEN
        hours_from := window_end;
        hours_to := window_end;
    END IF;
    days_from := rollup_ceiling(1440, hours_from);
    days_to := rollup_bucket(1440, least(hours_to, until[3]));
    IF days_from >= days_to THEN
        days_from := hours_to;
        days_to := hours_to;
    END IF;
    RETURN NEXT;
END $$;

-- The end of the last bucket before a moment, or the moment if it is such an end.
CREATE OR REPLACE FUNCTION rollup_ceiling(p_level int, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin(make_interval(mins => p_level),
    p_at + make_interval(mins => p_level) - interval '1 us', timestamptz '2000-01-01 00:00:00+00');

-- The rows of which a window is put together; `p_places` are all its datacenters.
CREATE OR REPLACE FUNCTION rollup_rows(
    p_monitors int[], p_from timestamptz, p_to timestamptz, p_places int[])
RETURNS SETOF heartbeats_5m
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    w record;
BEGIN
    SELECT * INTO w FROM rollup_window(p_from, p_to, p_places);
    -- Apart, and only where there is something: planning takes longer than reading.
    IF w.days_from < w.days_to THEN
        RETURN QUERY SELECT * FROM heartbeats_1d
        WHERE monitor_id = ANY (p_monitors) AND datacenter_id = ANY (p_places)
          AND bucket >= w.days_from AND bucket < w.days_to;
    END IF;
    IF w.hours_from < w.days_from THEN
        RETURN QUERY SELECT * FROM heartbeats_1h
        WHERE monitor_id = ANY (p_monitors) AND datacenter_id = ANY (p_places)
          AND bucket >= w.hours_from AND bucket < w.days_from;
    END IF;
    IF w.days_to < w.hours_to THEN
        RETURN QUERY SELECT * FROM heartbeats_1h
        WHERE monitor_id = ANY (p_monitors) AND datacenter_id = ANY (p_places)
          AND bucket >= w.days_to AND bucket < w.hours_to;
    END IF;
    IF w.window_start < w.hours_from THEN
        RETURN QUERY SELECT * FROM heartbeats_5m
        WHERE monitor_id = ANY (p_monitors) AND datacenter_id = ANY (p_places)
          AND bucket >= w.window_start AND bucket < w.hours_from;
    END IF;
    IF w.hours_to < w.window_end THEN
        RETURN QUERY SELECT * FROM heartbeats_5m
        WHERE monitor_id = ANY (p_monitors) AND datacenter_id = ANY (p_places)
          AND bucket >= w.hours_to AND bucket < w.window_end;
    END IF;
END $$;

-- The datacenters of a question: those asked for, else all that are rolled up.
CREATE OR REPLACE FUNCTION rollup_places(p_datacenters int[]) RETURNS int[]
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN p_datacenters IS NULL
        THEN ARRAY(SELECT datacenter_id FROM rollup_progress WHERE level = 5 ORDER BY 1)
        ELSE ARRAY(SELECT DISTINCT unnest(p_datacenters) ORDER BY 1) END
$$;

-- A share, rounded down to six digits, so that 1 means all of it; NULL of nothing.
CREATE OR REPLACE FUNCTION uptime_share(p_part bigint, p_whole bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_whole > 0 THEN trunc(p_part::numeric / p_whole, 6) END;

-- Uptime of monitors, each datacenter apart or all together.
CREATE OR REPLACE FUNCTION uptime_of(
    p_monitors int[], p_from timestamptz, p_to timestamptz, p_datacenters int[], p_apart boolean)
RETURNS SETOF uptime_answer
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH place AS (
        SELECT rollup_places(p_datacenters) AS ids
    ), span AS (
        SELECT window_start, window_end,
               (extract(epoch FROM window_end - window_start) * 1000)::bigint AS ms
        FROM place, rollup_window(p_from, p_to, ids)
    ), apart AS (
        SELECT monitor_id, datacenter_id, sum(up_ms) AS up_ms, sum(degraded_ms) AS degraded_ms,
               sum(critical_ms) AS critical_ms, sum(down_ms) AS down_ms,
               sum(maintenance_ms) AS maintenance_ms, sum(unknown_ms) AS unknown_ms,
               sum(no_leader_ms) AS no_leader_ms, sum(missing_ms) AS missing_ms,
               sum(checks) AS checks, sum(expected) AS expected
        FROM place, rollup_rows(p_monitors, p_from, p_to, ids)
        GROUP BY 1, 2
    ), asked AS (
        SELECT monitor_id, datacenter_id FROM apart WHERE p_datacenters IS NULL
        UNION ALL
        SELECT m, d FROM unnest(p_monitors) m, unnest(p_datacenters) d
        WHERE p_datacenters IS NOT NULL GROUP BY 1, 2
    ), kinds AS (
        SELECT monitor_id, array_agg(datacenter_id ORDER BY datacenter_id) AS datacenters,
               count(*) AS places, coalesce(sum(up_ms), 0)::bigint AS up_ms,
               coalesce(sum(degraded_ms), 0)::bigint AS degraded_ms,
               coalesce(sum(critical_ms), 0)::bigint AS critical_ms,
               coalesce(sum(down_ms), 0)::bigint AS down_ms,
               coalesce(sum(maintenance_ms), 0)::bigint AS maintenance_ms,
               coalesce(sum(unknown_ms), 0)::bigint AS unknown_ms,
               coalesce(sum(no_leader_ms), 0)::bigint AS no_leader_ms,
               coalesce(sum(missing_ms), 0)::bigint AS missing_ms,
               coalesce(sum(checks), 0)::bigint AS checks,
               coalesce(sum(expected), 0)::bigint AS expected
        FROM asked LEFT JOIN apart USING (monitor_id, datacenter_id)
        GROUP BY monitor_id, CASE WHEN p_apart THEN datacenter_id END
    ), answer AS (
        SELECT *, ms * places AS window_ms,
               up_ms + degraded_ms + critical_ms AS good_ms,
               unknown_ms + no_leader_ms + missing_ms AS without_verdict_ms
        FROM kinds, span
    )
    SELECT monitor_id, datacenters, window_start, window_end, window_ms, up_ms, degraded_ms,
           critical_ms, down_ms, maintenance_ms, unknown_ms, no_leader_ms, missing_ms,
           -- Where a monitor has no row, nothing was due.
           window_ms - good_ms - down_ms - maintenance_ms - without_verdict_ms, without_verdict_ms,
           checks, expected,
           uptime_share(good_ms + down_ms, good_ms + down_ms + without_verdict_ms),
           uptime_share(good_ms, good_ms + down_ms),
           uptime_share(good_ms, good_ms + down_ms + without_verdict_ms)
    FROM answer ORDER BY monitor_id, datacenters
$$;

-- The uptime of a monitor in a window, over all datacenters in which something was due, or those
-- asked for. No row: nothing was ever due.
CREATE OR REPLACE FUNCTION uptime(
    p_monitor int, p_from timestamptz, p_to timestamptz, p_datacenters int[] DEFAULT NULL)
RETURNS SETOF uptime_answer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT * FROM uptime_of(ARRAY[p_monitor], p_from, p_to, p_datacenters, false)
$$;

-- The same for each of its datacenters.
CREATE OR REPLACE FUNCTION uptime_by_datacenter(
    p_monitor int, p_from timestamptz, p_to timestamptz, p_datacenters int[] DEFAULT NULL)
RETURNS SETOF uptime_answer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT * FROM uptime_of(ARRAY[p_monitor], p_from, p_to, p_datacenters, true)
$$;

-- The same as uptime() for every monitor, also those that are gone.
CREATE OR REPLACE FUNCTION uptimes(
    p_from timestamptz, p_to timestamptz, p_datacenters int[] DEFAULT NULL)
RETURNS SETOF uptime_answer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT * FROM uptime_of(
        ARRAY(SELECT DISTINCT monitor_id FROM monitor_duty), p_from, p_to, p_datacenters, false)
$$;
