-- A moment as ms of a bucket of five minutes; what lies outside is cut to its ends.
CREATE OR REPLACE FUNCTION rollup_ms(p_bucket timestamptz, p_at timestamptz) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(greatest(floor(extract(epoch FROM p_at - p_bucket) * 1000), 0), 300000)::int;

-- How long stretches of time are together; NULL for NULL, which is not even asked.
CREATE OR REPLACE FUNCTION rollup_length(p_stretches int4multirange) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(sum(upper(s) - lower(s)), 0)::int FROM unnest(p_stretches) s);

-- When somebody led in a bucket of five minutes. A term ends when it is given back, or when its
-- lease runs out and is not renewed.
CREATE OR REPLACE FUNCTION rollup_led(p_datacenter int, p_bucket timestamptz) RETURNS int4multirange
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce(range_agg(int4range(
        rollup_ms(p_bucket, started_at), rollup_ms(p_bucket, greatest(started_at, ended_at)))), '{}')
    FROM (
        SELECT t.started_at, least(
            t.released_at, t.expired_at, lead(t.started_at) OVER (ORDER BY t.term),
            CASE WHEN l.holder IS NOT NULL THEN l.expires_at END) AS ended_at
        FROM agent_terms t
        LEFT JOIN agent_leases l ON l.datacenter_id = t.datacenter_id AND l.term = t.term
        WHERE t.datacenter_id = p_datacenter) terms
    WHERE coalesce(ended_at, 'infinity') > p_bucket
$$;

-- What a bucket of five minutes in a datacenter says by its heartbeats, the duty, the maintenance
-- windows and the terms: a row for each monitor that had something to do, or did something.
--
-- A heartbeat covers the time from its slot to the next heartbeat, at most the interval, at most
-- the stretch of duty in which it lies. Each ms is of one kind: not scheduled before maintenance
-- before what a heartbeat says before a gap. A gap is not scheduled within the first interval of a
-- duty (the first slot comes within it) and before the first term of the datacenter; else it has no
-- leader or is missing. Moments are cut to ms of the bucket, so that the kinds add up to it.
CREATE OR REPLACE FUNCTION rollup_of_heartbeats(p_datacenter int, p_bucket timestamptz)
RETURNS SETOF heartbeats_5m
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan SET work_mem = '32MB' AS $$
DECLARE
    b_end CONSTANT timestamptz := p_bucket + interval '5 min';
    -- No heartbeat before it can reach into the bucket: lets the planner skip partitions.
    reach CONSTANT timestamptz := p_bucket
        - coalesce((SELECT max(interval_s) FROM monitor_duty), 0) * interval '1 s';
    first_term timestamptz;
    led int4multirange;
BEGIN
    SELECT min(started_at) INTO first_term FROM agent_terms WHERE datacenter_id = p_datacenter;
    led := rollup_led(p_datacenter, p_bucket);

    RETURN QUERY
    WITH span AS MATERIALIZED (
        SELECT s.*, rollup_ms(p_bucket, since) AS since_ms, rollup_ms(p_bucket, until) AS until_ms
        FROM duty_spans(p_datacenter, p_bucket, b_end) s
    ), maintained AS MATERIALIZED (
        SELECT monitor_id, range_agg(int4range(
            rollup_ms(p_bucket, starts_at), rollup_ms(p_bucket, ends_at))) AS during
        FROM maintenance_windows
        WHERE ends_at > p_bucket AND starts_at < b_end
          AND (datacenter_id IS NULL OR datacenter_id = p_datacenter)
        GROUP BY monitor_id
    ), duty AS MATERIALIZED (
        SELECT monitor_id, maintenance - coalesce(off, '{}') AS maintenance, off, settling, on_duty,
               coalesce(maintenance, '{}') + coalesce(off, '{}') AS blocked,
               maintenance IS NOT NULL OR off IS NOT NULL AS is_blocked
        FROM (
            SELECT monitor_id, (
                       SELECT range_agg(m.during) FROM maintained m
                       WHERE m.monitor_id IS NULL OR m.monitor_id = s.monitor_id) AS maintenance,
                   range_agg(int4range(since_ms, until_ms)) FILTER (WHERE interval_ms IS NULL) AS off,
                   range_agg(int4range(since_ms, rollup_ms(p_bucket,
                       least(until, since + interval_ms * interval '1 ms'))))
                       FILTER (WHERE interval_ms IS NOT NULL AND since > '-infinity') AS settling,
                   bool_or(interval_ms IS NOT NULL) AS on_duty
            FROM span s GROUP BY monitor_id) x
    ), seen AS MATERIALIZED (
        SELECT s.monitor_id, s.since, s.until, s.until_ms, s.interval_ms, h.*,
               h.scheduled_at >= p_bucket AS inside
        FROM span s
        CROSS JOIN LATERAL (
            SELECT scheduled_at, status, attempts, success AND NOT coalesce(details ? 'lag_ms', false)
                       AS timed, response_time_ms, dns_lookup_ms, tcp_connect_ms, tls_handshake_ms,
                   wait_ms, time_to_first_byte_ms, transfer_ms
            FROM api_heartbeats
            WHERE monitor_id = s.monitor_id AND datacenter_id = p_datacenter
              AND scheduled_at >= reach AND scheduled_at < b_end
              AND scheduled_at >= greatest(
                  s.since, p_bucket - coalesce(s.interval_ms, 0) * interval '1 ms')
              AND scheduled_at < s.until
            OFFSET 0) h  -- a lookup for each monitor, never a scan of the day
    ), cut AS (
        SELECT *, lead(a, 1, 300000) OVER w AS next_a FROM (
            SELECT monitor_id, scheduled_at, status, rollup_ms(p_bucket, scheduled_at) AS a,
                   least(until_ms, rollup_ms(p_bucket,
                       scheduled_at + coalesce(interval_ms, 0) * interval '1 ms')) AS covered_to
            FROM seen) x
        WINDOW w AS (PARTITION BY monitor_id ORDER BY scheduled_at)
    ), cover AS (
        SELECT c.monitor_id, c.status, c.a, c.next_a, least(c.covered_to, c.next_a) AS b,
               CASE WHEN NOT d.is_blocked THEN least(c.covered_to, c.next_a) - c.a
               ELSE rollup_length(int4multirange(
                   int4range(c.a, least(c.covered_to, c.next_a))) - d.blocked) END AS ms
        FROM cut c JOIN duty d USING (monitor_id)
    ), timed AS (
        SELECT monitor_id,
               coalesce(sum(ms) FILTER (WHERE status = 'up'), 0) AS up_ms,
               coalesce(sum(ms) FILTER (WHERE status = 'degraded'), 0) AS degraded_ms,
               coalesce(sum(ms) FILTER (WHERE status = 'critical'), 0) AS critical_ms,
               coalesce(sum(ms) FILTER (WHERE status = 'down'), 0) AS down_ms,
               coalesce(sum(ms) FILTER (WHERE status = 'unknown'), 0) AS unknown_ms,
               max(b) > 0 AS reaches, min(a) AS first_a,
               range_agg(int4range(b, next_a)) FILTER (WHERE b < next_a) AS gaps
        FROM cover GROUP BY monitor_id
    ), gap AS (
        SELECT d.*, rest, rest * coalesce(quiet, '{}') AS waiting
        FROM (
            SELECT monitor_id, CASE
                WHEN t.monitor_id IS NULL THEN '{[0,300000)}'
                WHEN t.first_a > 0 THEN coalesce(t.gaps, '{}') + int4multirange(int4range(0, t.first_a))
                ELSE t.gaps END - d.blocked AS rest,
                CASE WHEN first_term >= p_bucket
                    THEN int4multirange(int4range(0, rollup_ms(p_bucket, first_term)))
                         + coalesce(d.settling, '{}')
                    ELSE d.settling END AS quiet
            FROM duty d LEFT JOIN timed t USING (monitor_id)) g
        JOIN duty d USING (monitor_id)
    ), counted AS (
        SELECT monitor_id, count(*)::int AS checks,
               count(*) FILTER (WHERE status = 'up') AS up,
               count(*) FILTER (WHERE status = 'degraded') AS degraded,
               count(*) FILTER (WHERE status = 'critical') AS critical,
               count(*) FILTER (WHERE status = 'down') AS down,
               count(*) FILTER (WHERE status = 'unknown') AS unknown,
               sum(attempts) AS attempts
        FROM seen WHERE inside GROUP BY monitor_id
    ), due AS (
        -- Slots lie on the grid of the heartbeats that are there; without any, on that of 1970.
        SELECT monitor_id, sum(greatest(0,
                   ceil((extract(epoch FROM least(until, b_end)) * 1000 - anchor) / interval_ms)
                   - ceil((extract(epoch FROM greatest(since, p_bucket, first_term)) * 1000 - anchor)
                          / interval_ms))) AS n
        FROM (
            SELECT s.monitor_id, s.since, s.until, s.interval_ms,
                   coalesce(extract(epoch FROM max(h.scheduled_at)) * 1000, 0) AS anchor
            FROM span s LEFT JOIN seen h USING (monitor_id, since)
            WHERE s.interval_ms IS NOT NULL GROUP BY 1, 2, 3, 4) x
        GROUP BY monitor_id
    ), latency AS (
        SELECT monitor_id, phase, latency_bucket(ms) AS bucket, count(*) AS n,
               sum(ms::double precision) AS sum_ms, min(ms) AS min_ms, max(ms) AS max_ms
        FROM seen CROSS JOIN LATERAL (VALUES
            (1, response_time_ms), (2, dns_lookup_ms), (3, tcp_connect_ms), (4, tls_handshake_ms),
            (5, wait_ms), (6, time_to_first_byte_ms), (7, transfer_ms)) v (phase, ms)
        -- A direct INSERT may say anything; NaN is above every number here.
        WHERE inside AND timed AND ms >= 0 AND ms < 1e10
        GROUP BY 1, 2, 3
    ), phase AS (
        SELECT monitor_id, phase, sum(sum_ms) AS sum_ms, min(min_ms) AS min_ms,
               max(max_ms) AS max_ms, array_agg(latency_pack(bucket, n) ORDER BY bucket) AS hist
        FROM latency GROUP BY 1, 2
    )
    SELECT g.monitor_id, p_datacenter, p_bucket,
        coalesce(t.up_ms, 0)::int, coalesce(t.degraded_ms, 0)::int, coalesce(t.critical_ms, 0)::int,
        coalesce(t.down_ms, 0)::int, coalesce(rollup_length(g.maintenance - coalesce(g.off, '{}')), 0),
        coalesce(t.unknown_ms, 0)::int,
        CASE WHEN first_term IS NULL THEN 0
             ELSE coalesce(rollup_length(g.rest - g.waiting - led), 0) END,
        coalesce(rollup_length(g.off), 0)
            + coalesce(rollup_length(g.waiting), 0),
        CASE WHEN first_term IS NULL THEN coalesce(rollup_length(g.rest - g.waiting), 0)
             ELSE coalesce(rollup_length((g.rest - g.waiting) * led), 0) END,
        coalesce(c.checks, 0), coalesce(c.up, 0)::int, coalesce(c.degraded, 0)::int,
        coalesce(c.critical, 0)::int, coalesce(c.down, 0)::int, coalesce(c.unknown, 0)::int,
        coalesce(c.attempts, 0)::int, coalesce(due.n, 0)::int,
        total.sum_ms, total.min_ms, total.max_ms, dns.sum_ms, dns.min_ms, dns.max_ms,
        connect.sum_ms, connect.min_ms, connect.max_ms, tls.sum_ms, tls.min_ms, tls.max_ms,
        wait.sum_ms, wait.min_ms, wait.max_ms, ttfb.sum_ms, ttfb.min_ms, ttfb.max_ms,
        transfer.sum_ms, transfer.min_ms, transfer.max_ms,
        total.hist, dns.hist, connect.hist, tls.hist, wait.hist, ttfb.hist, transfer.hist
    FROM gap g
    LEFT JOIN timed t USING (monitor_id)
    LEFT JOIN counted c USING (monitor_id)
    LEFT JOIN due USING (monitor_id)
    LEFT JOIN phase total ON total.monitor_id = g.monitor_id AND total.phase = 1
    LEFT JOIN phase dns ON dns.monitor_id = g.monitor_id AND dns.phase = 2
    LEFT JOIN phase connect ON connect.monitor_id = g.monitor_id AND connect.phase = 3
    LEFT JOIN phase tls ON tls.monitor_id = g.monitor_id AND tls.phase = 4
    LEFT JOIN phase wait ON wait.monitor_id = g.monitor_id AND wait.phase = 5
    LEFT JOIN phase ttfb ON ttfb.monitor_id = g.monitor_id AND ttfb.phase = 6
    LEFT JOIN phase transfer ON transfer.monitor_id = g.monitor_id AND transfer.phase = 7
    WHERE c.checks > 0 OR t.reaches OR (g.on_duty AND first_term < b_end);
END $$;

-- An hour by its rows of five minutes, or a day by those of hours: everything is a sum, a least or
-- a greatest. Where a monitor has no row, nothing was due.
CREATE OR REPLACE FUNCTION rollup_of_rollups(p_level int, p_datacenter int, p_bucket timestamptz)
RETURNS SETOF heartbeats_5m
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET work_mem = '64MB' AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
    WITH part AS MATERIALIZED (
        SELECT r.* FROM (SELECT DISTINCT monitor_id FROM monitor_duty) m
        CROSS JOIN LATERAL (
            SELECT * FROM %I r
            WHERE r.monitor_id = m.monitor_id AND r.datacenter_id = $1
              AND r.bucket >= $2 AND r.bucket < $3 OFFSET 0) r
    ), latency AS (
        SELECT monitor_id, phase, packed >> 20 AS bucket, sum(packed & 1048575) AS n
        FROM part CROSS JOIN LATERAL (VALUES
            (1, total_hist), (2, dns_hist), (3, connect_hist), (4, tls_hist), (5, wait_hist),
            (6, ttfb_hist), (7, transfer_hist)) v (phase, hist)
        CROSS JOIN LATERAL unnest(hist) packed
        GROUP BY 1, 2, 3
    ), phase AS (
        SELECT monitor_id, phase, array_agg(latency_pack(bucket, n) ORDER BY bucket) AS hist
        FROM latency GROUP BY 1, 2
    ), total AS (
        SELECT monitor_id,
            sum(up_ms)::int AS up_ms, sum(degraded_ms)::int AS degraded_ms,
            sum(critical_ms)::int AS critical_ms, sum(down_ms)::int AS down_ms,
            sum(maintenance_ms)::int AS maintenance_ms, sum(unknown_ms)::int AS unknown_ms,
            sum(no_leader_ms)::int AS no_leader_ms,
            sum(not_scheduled_ms)::int AS not_scheduled_ms, sum(missing_ms)::int AS missing_ms,
            sum(checks)::int AS checks, sum(up)::int AS up, sum(degraded)::int AS degraded,
            sum(critical)::int AS critical, sum(down)::int AS down,
            sum(unknown)::int AS unknown, sum(attempts)::int AS attempts,
            sum(expected)::int AS expected,
            sum(total_sum_ms) AS total_sum_ms, min(total_min_ms) AS total_min_ms, max(total_max_ms) AS total_max_ms,
            sum(dns_sum_ms) AS dns_sum_ms, min(dns_min_ms) AS dns_min_ms, max(dns_max_ms) AS dns_max_ms,
            sum(connect_sum_ms) AS connect_sum_ms, min(connect_min_ms) AS connect_min_ms, max(connect_max_ms) AS connect_max_ms,
            sum(tls_sum_ms) AS tls_sum_ms, min(tls_min_ms) AS tls_min_ms, max(tls_max_ms) AS tls_max_ms,
            sum(wait_sum_ms) AS wait_sum_ms, min(wait_min_ms) AS wait_min_ms, max(wait_max_ms) AS wait_max_ms,
            sum(ttfb_sum_ms) AS ttfb_sum_ms, min(ttfb_min_ms) AS ttfb_min_ms, max(ttfb_max_ms) AS ttfb_max_ms,
            sum(transfer_sum_ms) AS transfer_sum_ms, min(transfer_min_ms) AS transfer_min_ms, max(transfer_max_ms) AS transfer_max_ms
        FROM part GROUP BY monitor_id
    )
    SELECT t.monitor_id, $1, $2,
        up_ms, degraded_ms, critical_ms, down_ms, maintenance_ms, unknown_ms, no_leader_ms,
        not_scheduled_ms + ($4 * 60000 - up_ms - degraded_ms - critical_ms
            - down_ms - maintenance_ms - unknown_ms
            - no_leader_ms - not_scheduled_ms - missing_ms),
        missing_ms,
        checks, up, degraded, critical, down, unknown, attempts, expected,
        total_sum_ms, total_min_ms, total_max_ms, dns_sum_ms, dns_min_ms, dns_max_ms,
        connect_sum_ms, connect_min_ms, connect_max_ms, tls_sum_ms, tls_min_ms, tls_max_ms,
        wait_sum_ms, wait_min_ms, wait_max_ms, ttfb_sum_ms, ttfb_min_ms, ttfb_max_ms,
        transfer_sum_ms, transfer_min_ms, transfer_max_ms,
        p1.hist, p2.hist, p3.hist, p4.hist, p5.hist, p6.hist, p7.hist
    FROM total t
    LEFT JOIN phase p1 ON p1.monitor_id = t.monitor_id AND p1.phase = 1
    LEFT JOIN phase p2 ON p2.monitor_id = t.monitor_id AND p2.phase = 2
    LEFT JOIN phase p3 ON p3.monitor_id = t.monitor_id AND p3.phase = 3
    LEFT JOIN phase p4 ON p4.monitor_id = t.monitor_id AND p4.phase = 4
    LEFT JOIN phase p5 ON p5.monitor_id = t.monitor_id AND p5.phase = 5
    LEFT JOIN phase p6 ON p6.monitor_id = t.monitor_id AND p6.phase = 6
    LEFT JOIN phase p7 ON p7.monitor_id = t.monitor_id AND p7.phase = 7
    $query$, CASE p_level WHEN 60 THEN 'heartbeats_5m' ELSE 'heartbeats_1h' END)
    USING p_datacenter, p_bucket, p_bucket + make_interval(mins => p_level), p_level;
END $$;

-- Rolls up a bucket, writing rows only where they differ, and marks the bucket of the level above
-- if there are any; answers with their number.
--
-- A heartbeat is never taken back, so a row with fewer checks than the one that is stored comes of
-- partitions that are gone, and changes nothing. On the first day that is left, a heartbeat of the
-- day before may be missing that reached into it: there, rows only gain.
CREATE OR REPLACE FUNCTION rollup(p_level int, p_datacenter int, p_bucket timestamptz) RETURNS int
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    columns text;
    begin_raw CONSTANT timestamptz := partitions_begin('heartbeats');
    written int;
BEGIN
    IF p_level = 5 AND p_bucket < begin_raw THEN
        RETURN 0;
    END IF;
    IF p_level < 1440 THEN
        PERFORM partition_for(rollup_table(p_level), p_bucket);
    END IF;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO STRICT columns
    FROM pg_attribute
    WHERE attrelid = 'heartbeats_5m'::regclass AND attnum > 0 AND NOT attisdropped
      AND attname NOT IN ('monitor_id', 'datacenter_id', 'bucket');
    EXECUTE format($query$
        INSERT INTO %1$I AS old
        SELECT * FROM %2$s ORDER BY monitor_id
        ON CONFLICT (monitor_id, datacenter_id, bucket) DO UPDATE SET (%3$s) = ROW (%4$s)
        WHERE old.* IS DISTINCT FROM excluded.* AND excluded.checks >= old.checks
          AND ($1 OR excluded.missing_ms + excluded.no_leader_ms <= old.missing_ms + old.no_leader_ms)
        $query$,
        rollup_table(p_level),
        CASE p_level WHEN 5 THEN 'rollup_of_heartbeats($2, $3)'
                     ELSE 'rollup_of_rollups(' || p_level || ', $2, $3)' END,
        columns, 'excluded.' || replace(columns, ', ', ', excluded.'))
    USING p_bucket >= begin_raw + interval '1 day', p_datacenter, p_bucket;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written > 0 AND p_level < 1440 THEN
        INSERT INTO rollup_dirty AS d (level, datacenter_id, bucket)
        SELECT above, p_datacenter, rollup_bucket(above, p_bucket)
        FROM (SELECT CASE p_level WHEN 5 THEN 60 ELSE 1440 END) x (above)
        ON CONFLICT (level, datacenter_id, bucket) DO UPDATE SET n = d.n + 1;
    END IF;
    RETURN written;
END $$;
