-- Times of monitors in a window, each datacenter apart or all together (datacenter_id is NULL), of
-- all phases or some: total, dns, connect, tls, wait, ttfb, transfer. Quantiles are at most 2.44 %
-- off. What is counted, and to which ends the window is moved: latency_percentiles().
CREATE OR REPLACE FUNCTION latency_of(
    p_monitors int[], p_from timestamptz, p_to timestamptz, p_datacenters int[], p_apart boolean,
    p_phases text[] DEFAULT NULL)
RETURNS TABLE (monitor_id int, datacenter_id int, phase text, checks bigint, sum_ms float8,
               mean_ms float8, min_ms float8, max_ms float8, p50_ms float8, p95_ms float8,
               p99_ms float8)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH part AS MATERIALIZED (
        SELECT r.monitor_id, CASE WHEN p_apart THEN r.datacenter_id END AS datacenter_id, v.*
        FROM rollup_rows(p_monitors, p_from, p_to, rollup_places(p_datacenters)) r
        CROSS JOIN LATERAL (VALUES
            ('total', total_sum_ms, total_min_ms, total_max_ms, total_hist),
            ('dns', dns_sum_ms, dns_min_ms, dns_max_ms, dns_hist),
            ('connect', connect_sum_ms, connect_min_ms, connect_max_ms, connect_hist),
            ('tls', tls_sum_ms, tls_min_ms, tls_max_ms, tls_hist),
            ('wait', wait_sum_ms, wait_min_ms, wait_max_ms, wait_hist),
            ('ttfb', ttfb_sum_ms, ttfb_min_ms, ttfb_max_ms, ttfb_hist),
            ('transfer', transfer_sum_ms, transfer_min_ms, transfer_max_ms, transfer_hist)
        ) v (phase, sum_ms, min_ms, max_ms, hist)
        WHERE v.hist IS NOT NULL AND (p_phases IS NULL OR v.phase = ANY (p_phases))
    ), whole AS (
        SELECT monitor_id, datacenter_id, phase, sum(sum_ms) AS sum_ms, min(min_ms) AS min_ms,
               max(max_ms) AS max_ms
        FROM part GROUP BY 1, 2, 3
    ), counted AS (
        SELECT monitor_id, datacenter_id, phase, packed >> 20 AS bucket,
               sum(packed & 1048575)::bigint AS n
        FROM part CROSS JOIN LATERAL unnest(hist) packed GROUP BY 1, 2, 3, 4
    ), ranked AS (
        SELECT *, sum(n) OVER (PARTITION BY monitor_id, datacenter_id, phase ORDER BY bucket)
                   AS reached,
               sum(n) OVER (PARTITION BY monitor_id, datacenter_id, phase) AS total
        FROM counted
    ), quantile AS (
        SELECT monitor_id, datacenter_id, phase, max(total)::bigint AS checks,
               latency_value(min(bucket) FILTER (WHERE reached >= 0.50 * total)) AS p50_ms,
               latency_value(min(bucket) FILTER (WHERE reached >= 0.95 * total)) AS p95_ms,
               latency_value(min(bucket) FILTER (WHERE reached >= 0.99 * total)) AS p99_ms
        FROM ranked GROUP BY 1, 2, 3
    )
    SELECT q.monitor_id, q.datacenter_id, q.phase, q.checks, w.sum_ms, w.sum_ms / q.checks,
           w.min_ms, w.max_ms, q.p50_ms, q.p95_ms, q.p99_ms
    FROM quantile q JOIN whole w
      ON w.monitor_id = q.monitor_id AND w.phase = q.phase
     AND w.datacenter_id IS NOT DISTINCT FROM q.datacenter_id
$$;

-- Times of a phase of every monitor.
CREATE OR REPLACE FUNCTION latencies(
    p_from timestamptz, p_to timestamptz, p_phase text DEFAULT 'total',
    p_datacenters int[] DEFAULT NULL)
RETURNS TABLE (monitor_id int, checks bigint, mean_ms float8, min_ms float8, max_ms float8,
               p50_ms float8, p95_ms float8, p99_ms float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT monitor_id, checks, mean_ms, min_ms, max_ms, p50_ms, p95_ms, p99_ms
    FROM latency_of(ARRAY(SELECT DISTINCT monitor_id FROM monitor_duty), p_from, p_to,
                    p_datacenters, false, ARRAY[p_phase])
    ORDER BY monitor_id
$$;
COMMENT ON FUNCTION latencies IS
    'every monitor in a window: how many successful checks, and mean, least, greatest and quantiles of a phase, in ms';

-- Times of every phase of a monitor, in the order in which they come; `share` is of the total.
CREATE OR REPLACE FUNCTION latency_phases(
    p_monitor int, p_from timestamptz, p_to timestamptz, p_datacenters int[] DEFAULT NULL)
RETURNS TABLE (phase text, checks bigint, mean_ms float8, min_ms float8, max_ms float8,
               p50_ms float8, p95_ms float8, p99_ms float8, share float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT phase, checks, mean_ms, min_ms, max_ms, p50_ms, p95_ms, p99_ms,
           sum_ms / nullif(max(sum_ms) FILTER (WHERE phase = 'total') OVER (), 0)
    FROM latency_of(ARRAY[p_monitor], p_from, p_to, p_datacenters, false)
    ORDER BY array_position('{dns,connect,tls,wait,transfer,ttfb,total}', phase)
$$;
COMMENT ON FUNCTION latency_phases IS
    'a monitor in a window, phase by phase: checks that reached it, mean, least, greatest and quantiles in ms, share of the total';

-- Which phase of each monitor took the most time.
CREATE OR REPLACE FUNCTION slowest_phases(
    p_from timestamptz, p_to timestamptz, p_datacenters int[] DEFAULT NULL)
RETURNS TABLE (monitor_id int, phase text, mean_ms float8, p95_ms float8, share float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT DISTINCT ON (monitor_id) monitor_id, phase, mean_ms, p95_ms, share
    FROM (
        SELECT *, sum_ms / nullif(max(sum_ms) FILTER (WHERE phase = 'total')
                                  OVER (PARTITION BY monitor_id), 0) AS share
        FROM latency_of(ARRAY(SELECT DISTINCT monitor_id FROM monitor_duty), p_from, p_to,
                        p_datacenters, false, '{total,dns,connect,tls,wait,transfer}')) x
    WHERE phase <> 'total'
    ORDER BY monitor_id, sum_ms DESC, phase
$$;
COMMENT ON FUNCTION slowest_phases IS
    'every monitor in a window: the phase on which most of the time was spent, its mean and 95th percentile in ms, its share of the total';

-- Stretches of time in which a monitor was down in a datacenter, to five minutes: as far back as
-- buckets of five minutes are kept.
CREATE OR REPLACE FUNCTION outages(
    p_from timestamptz, p_to timestamptz, p_monitor int DEFAULT NULL,
    p_datacenters int[] DEFAULT NULL)
RETURNS TABLE (monitor_id int, datacenter_id int, began timestamptz, ended timestamptz,
               down_ms bigint, failed_checks bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    hours_until CONSTANT timestamptz := coalesce(
        (SELECT min(rolled_until) FROM rollup_progress WHERE level = 60), '-infinity');
BEGIN
    RETURN QUERY
    WITH bad_hour AS (
        SELECT h.monitor_id, h.datacenter_id, h.bucket FROM heartbeats_1h h
        WHERE h.down_ms > 0 AND h.bucket > p_from - interval '1 hour' AND h.bucket < p_to
          AND h.bucket < hours_until AND (p_monitor IS NULL OR h.monitor_id = p_monitor)
          AND (p_datacenters IS NULL OR h.datacenter_id = ANY (p_datacenters))
    ), bad AS (
        SELECT f.monitor_id, f.datacenter_id, f.bucket, f.down_ms, f.down
        FROM bad_hour h CROSS JOIN LATERAL (
            SELECT * FROM heartbeats_5m f
            WHERE f.monitor_id = h.monitor_id AND f.datacenter_id = h.datacenter_id
              AND f.bucket >= h.bucket AND f.bucket < h.bucket + interval '1 hour'
              AND f.down_ms > 0 OFFSET 0) f
        UNION ALL
        SELECT f.monitor_id, f.datacenter_id, f.bucket, f.down_ms, f.down FROM heartbeats_5m f
        WHERE f.down_ms > 0 AND f.bucket >= hours_until
          AND (p_monitor IS NULL OR f.monitor_id = p_monitor)
          AND (p_datacenters IS NULL OR f.datacenter_id = ANY (p_datacenters))
    ), run AS (
        SELECT *, bucket - row_number() OVER (
            PARTITION BY monitor_id, datacenter_id ORDER BY bucket) * interval '5 min' AS island
        FROM bad WHERE bucket > p_from - interval '5 min' AND bucket < p_to
    )
    SELECT monitor_id, datacenter_id, min(bucket), max(bucket) + interval '5 min', sum(down_ms),
           sum(down)
    FROM run GROUP BY monitor_id, datacenter_id, island
    ORDER BY min(bucket), monitor_id, datacenter_id;
END $$;
COMMENT ON FUNCTION outages IS
    'when monitors were down, and where, to five minutes: down_ms is exact, ended is the end of the last bucket with down time';

-- From when on something is known of some monitors in some datacenters; NULL: nothing is.
CREATE OR REPLACE FUNCTION known_from(p_monitors int[], p_datacenters int[] DEFAULT NULL)
RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT min(least(day.bucket, hour.bucket, five.bucket))
    FROM unnest(p_monitors) m
    CROSS JOIN unnest(rollup_places(p_datacenters)) d
    LEFT JOIN LATERAL (SELECT bucket FROM heartbeats_1d WHERE monitor_id = m AND datacenter_id = d
                       ORDER BY bucket LIMIT 1) day ON true
    LEFT JOIN LATERAL (SELECT bucket FROM heartbeats_1h WHERE monitor_id = m AND datacenter_id = d
                       ORDER BY bucket LIMIT 1) hour ON true
    LEFT JOIN LATERAL (SELECT bucket FROM heartbeats_5m WHERE monitor_id = m AND datacenter_id = d
                       ORDER BY bucket LIMIT 1) five ON true
$$;
COMMENT ON FUNCTION known_from IS
    'when the first bucket begins that tells of any of these monitors in any of these datacenters';
