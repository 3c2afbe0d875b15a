-- When the bucket of that many minutes begins in which a moment lies. Days are those of UTC.
CREATE OR REPLACE FUNCTION rollup_bucket(p_level int, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin(make_interval(mins => p_level), p_at, timestamptz '2000-01-01 00:00:00+00');

-- The table of a level.
CREATE OR REPLACE FUNCTION rollup_table(p_level int) RETURNS name
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_level
    WHEN 5 THEN 'heartbeats_5m' WHEN 60 THEN 'heartbeats_1h' WHEN 1440 THEN 'heartbeats_1d' END;

-- From when on a table that is cut by time may have rows.
CREATE OR REPLACE FUNCTION partitions_begin(p_parent name) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path FROM CURRENT SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
    SELECT min(CASE WHEN bound = 'DEFAULT' OR bound LIKE 'FOR VALUES FROM (MINVALUE)%'
               THEN '-infinity'
               ELSE substring(bound FROM 'FROM \(''([^'']+)''')::timestamptz END)
    FROM (
        SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = quote_ident(p_parent)::regclass) bounds
$$;

-- Marks the buckets of a range for the roller, in one datacenter or (NULL) all. Buckets that are to
-- come need no mark: they are rolled up when they have passed. Those of the next 15 minutes get
-- one, since the caller may take that long to commit.
CREATE OR REPLACE FUNCTION rollup_mark(p_from timestamptz, p_to timestamptz, p_datacenter int)
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO rollup_dirty AS d (level, datacenter_id, bucket)
    SELECT 5, p.datacenter_id, bucket
    FROM rollup_progress p
    CROSS JOIN LATERAL generate_series(
        rollup_bucket(5, greatest(p_from, partitions_begin('heartbeats'))),
        rollup_bucket(5, least(p_to - interval '1 us', clock_timestamp() + interval '15 min')),
        interval '5 min') bucket
    WHERE p.level = 5 AND (p_datacenter IS NULL OR p.datacenter_id = p_datacenter)
    ORDER BY 2, 3
    ON CONFLICT (level, datacenter_id, bucket) DO UPDATE SET n = d.n + 1
$$;

-- Marks every bucket that the new heartbeats can touch, in their own transaction. It must be DO
-- UPDATE: that waits for a roller that has taken the mark and reads the bucket at this moment, and
-- leaves another mark behind it, where DO NOTHING would see the old one and lose the heartbeat.
CREATE OR REPLACE FUNCTION heartbeats_mark() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    WITH seen AS MATERIALIZED (
        SELECT i.datacenter_id, i.monitor_id, d.monitor_id IS NULL AS unheard_of,
               rollup_bucket(5, i.scheduled_at) AS bucket,
               rollup_bucket(5, i.scheduled_at - interval '1 us'
                   + coalesce(d.interval_s, 0) * interval '1 s') AS last
        FROM inserted i
        LEFT JOIN LATERAL (
            SELECT monitor_id, interval_s FROM monitor_duty
            WHERE monitor_id = i.monitor_id AND since <= i.scheduled_at
            ORDER BY since DESC LIMIT 1) d ON true
    ), known AS (
        INSERT INTO monitor_duty (monitor_id, since)
        SELECT DISTINCT monitor_id, timestamptz '-infinity' FROM seen WHERE unheard_of ORDER BY 1
        ON CONFLICT DO NOTHING
    )
    INSERT INTO rollup_dirty AS d (level, datacenter_id, bucket)
    SELECT 5, datacenter_id, bucket FROM seen
    UNION
    -- A cover that reaches far into what is to come: those buckets are rolled up when they have
    -- passed. An hour is time enough to commit.
    SELECT 5, s.datacenter_id, b
    FROM (SELECT DISTINCT datacenter_id, bucket, last FROM seen WHERE last > bucket) s
    CROSS JOIN LATERAL generate_series(
        s.bucket + interval '5 min',
        least(s.last, clock_timestamp() + interval '1 hour'), interval '5 min') b
    ORDER BY 2, 3
    ON CONFLICT (level, datacenter_id, bucket) DO UPDATE SET n = d.n + 1;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER mark_dirty AFTER INSERT ON heartbeats
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION heartbeats_mark();

CREATE OR REPLACE FUNCTION maintenance_mark() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM rollup_mark(starts_at, ends_at, datacenter_id) FROM changed;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER mark_inserted AFTER INSERT ON maintenance_windows
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION maintenance_mark();
CREATE OR REPLACE TRIGGER mark_updated_from AFTER UPDATE ON maintenance_windows
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION maintenance_mark();
CREATE OR REPLACE TRIGGER mark_updated_to AFTER UPDATE ON maintenance_windows
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION maintenance_mark();
CREATE OR REPLACE TRIGGER mark_deleted AFTER DELETE ON maintenance_windows
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION maintenance_mark();
