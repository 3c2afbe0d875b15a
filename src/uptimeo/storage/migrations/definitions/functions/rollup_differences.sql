-- What is stored of a bucket, of any level, for a monitor.
CREATE OR REPLACE FUNCTION rollup_stored(
    p_level int, p_datacenter int, p_bucket timestamptz, p_monitor int)
RETURNS SETOF heartbeats_5m
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT * FROM %I WHERE monitor_id = $1 AND datacenter_id = $2 AND bucket = $3',
        rollup_table(p_level)) USING p_monitor, p_datacenter, p_bucket;
END $$;

-- What a bucket of any level should say: by its heartbeats, or by the level below.
CREATE OR REPLACE FUNCTION rollup_expected(p_level int, p_datacenter int, p_bucket timestamptz)
RETURNS SETOF heartbeats_5m
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    IF p_level = 5 THEN
        RETURN QUERY SELECT * FROM rollup_of_heartbeats(p_datacenter, p_bucket);
    ELSE
        RETURN QUERY SELECT * FROM rollup_of_rollups(p_level, p_datacenter, p_bucket);
    END IF;
END $$;

-- Raw against rolled up: each figure of each bucket in the range that is not what the heartbeats
-- say (of an hour or a day: what the level below says). Buckets that wait for the roller, and those
-- whose heartbeats are gone, are left out. No row: they agree.
-- Gaps are compared as a whole: whether somebody led can be known better later. So are sums, but
-- for what the order of adding does.
CREATE OR REPLACE FUNCTION rollup_differences(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (level int, datacenter_id int, bucket timestamptz, monitor_id int, what text,
               raw text, rolled text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH closed AS MATERIALIZED (
        SELECT p.level, p.datacenter_id, b.bucket
        FROM rollup_progress p
        CROSS JOIN LATERAL generate_series(
            rollup_ceiling(p.level, greatest(p_from, partitions_begin('heartbeats'))),
            least(p_to, p.rolled_until) - make_interval(mins => p.level),
            make_interval(mins => p.level)) b (bucket)
        WHERE NOT EXISTS (
            SELECT FROM rollup_dirty d
            WHERE d.datacenter_id = p.datacenter_id AND d.level <= p.level
              AND d.bucket >= b.bucket AND d.bucket < b.bucket + make_interval(mins => p.level))
    ), compared AS (
        SELECT c.level, c.datacenter_id, c.bucket, e.monitor_id, to_jsonb(e) AS raw,
               coalesce(to_jsonb(s), '{}') AS rolled
        FROM closed c
        CROSS JOIN LATERAL rollup_expected(c.level, c.datacenter_id, c.bucket) e
        LEFT JOIN LATERAL rollup_stored(c.level, c.datacenter_id, c.bucket, e.monitor_id) s ON true
        WHERE e IS DISTINCT FROM s
    ), gapped AS (
        SELECT level, datacenter_id, bucket, monitor_id,
            raw || jsonb_build_object('gap_ms',
                (raw ->> 'missing_ms')::int + (raw ->> 'no_leader_ms')::int) AS raw,
            rolled || jsonb_build_object('gap_ms',
                (rolled ->> 'missing_ms')::int + (rolled ->> 'no_leader_ms')::int) AS rolled
        FROM compared
    )
    SELECT g.level, g.datacenter_id, g.bucket, g.monitor_id, f.key, f.value, g.rolled ->> f.key
    FROM gapped g CROSS JOIN LATERAL jsonb_each_text(g.raw) f
    WHERE f.key NOT IN ('missing_ms', 'no_leader_ms') AND CASE
        WHEN f.key LIKE '%\_sum\_ms' AND f.value IS NOT NULL AND g.rolled ->> f.key IS NOT NULL
        THEN abs(f.value::float8 - (g.rolled ->> f.key)::float8) > 1e-9 * f.value::float8
        ELSE f.value IS DISTINCT FROM g.rolled ->> f.key END
$$;
