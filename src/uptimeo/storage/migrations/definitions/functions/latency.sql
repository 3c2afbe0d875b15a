-- Latency is kept as histograms of buckets that grow by 5 %: they are counts, so they merge by
-- addition, over any time and any datacenters, and what is read from them is off by at most 2.44 %.

-- The bucket of a time: the least b with 1.05^b us at or above it. 1 ms to 60 s are 226 buckets.
CREATE OR REPLACE FUNCTION latency_bucket(p_ms double precision) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(ln(CASE WHEN p_ms > 0.001 THEN p_ms * 1000 ELSE 1 END) / ln(1.05::double precision))::int;

-- What a bucket stands for, in ms: as far, in per cent, from its upper end as from its lower.
CREATE OR REPLACE FUNCTION latency_value(p_bucket int) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2 * power(1.05::double precision, p_bucket) / 2.05 / 1000;

-- A bucket and its count in one int: 11 bits and 20. A greater count stays at what 20 bits hold.
CREATE OR REPLACE FUNCTION latency_pack(p_bucket int, p_count bigint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_bucket << 20) + least(p_count, 1048575)::int;

-- A histogram as rows.
CREATE OR REPLACE FUNCTION latency_unpack(p_hist int[]) RETURNS TABLE (bucket int, n int)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT packed >> 20, packed & 1048575 FROM unnest(p_hist) packed;
END;

-- How many times a histogram holds.
CREATE OR REPLACE FUNCTION latency_count(p_hist int[]) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(sum(packed & 1048575), 0) FROM unnest(p_hist) packed);

-- Two histograms as one; NULL is one without times.
CREATE OR REPLACE FUNCTION latency_merge(p_one int[], p_other int[]) RETURNS int[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_one IS NULL THEN p_other WHEN p_other IS NULL THEN p_one ELSE (
    SELECT array_agg(latency_pack(bucket, n) ORDER BY bucket) FROM (
        SELECT packed >> 20 AS bucket, sum(packed & 1048575) AS n
        FROM unnest(p_one || p_other) packed GROUP BY 1) merged) END;

-- A quantile of a histogram, in ms; NULL without times.
CREATE OR REPLACE FUNCTION latency_quantile(p_hist int[], p_quantile double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT latency_value(bucket) FROM (
        SELECT packed >> 20 AS bucket, sum(packed & 1048575) OVER (ORDER BY packed) AS reached,
               sum(packed & 1048575) OVER () AS total
        FROM unnest(p_hist) packed) ranked
    WHERE reached >= p_quantile * total ORDER BY bucket LIMIT 1);

-- Quantiles of a phase of a monitor in a window, over all datacenters or those asked for: at most
-- 2.44 % off. Successful checks count, but for those during which the agent itself was held up.
-- `ms` is NULL if there are none. Phases: total, dns, connect, tls, wait, ttfb, transfer.
CREATE OR REPLACE FUNCTION latency_percentiles(
    p_monitor int, p_from timestamptz, p_to timestamptz, p_phase text DEFAULT 'total',
    p_datacenters int[] DEFAULT NULL, p_quantiles float8[] DEFAULT '{0.5,0.95,0.99}')
RETURNS TABLE (quantile float8, ms float8, checks bigint, window_start timestamptz, window_end timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    places CONSTANT int[] := rollup_places(p_datacenters);
    hist int[];
    counts bigint[];
    total bigint;
BEGIN
    IF p_phase NOT IN ('total', 'dns', 'connect', 'tls', 'wait', 'ttfb', 'transfer') THEN
        RAISE EXCEPTION 'there is no phase %: it is one of total, dns, connect, tls, wait, ttfb,'
            ' transfer', quote_literal(p_phase) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(b ORDER BY b), array_agg(reached ORDER BY b), max(reached)
    INTO hist, counts, total
    FROM (
        SELECT b, (sum(n) OVER (ORDER BY b))::bigint AS reached FROM (
            SELECT packed >> 20 AS b, sum(packed & 1048575) AS n
            FROM rollup_rows(ARRAY[p_monitor], p_from, p_to, places) r
            CROSS JOIN LATERAL unnest(CASE p_phase
                WHEN 'total' THEN total_hist WHEN 'dns' THEN dns_hist
                WHEN 'connect' THEN connect_hist WHEN 'tls' THEN tls_hist
                WHEN 'wait' THEN wait_hist WHEN 'ttfb' THEN ttfb_hist
                ELSE transfer_hist END) packed
            GROUP BY 1) merged) ranked;
    RETURN QUERY
    SELECT q, (SELECT latency_value(b) FROM unnest(hist, counts) h (b, reached)
               WHERE reached >= q * total ORDER BY b LIMIT 1),
           coalesce(total, 0), w.window_start, w.window_end
    FROM unnest(p_quantiles) WITH ORDINALITY u (q, n), rollup_window(p_from, p_to, places) w
    ORDER BY n;
END $$;
