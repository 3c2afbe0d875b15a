-- The first day of the partition of `p_parent` in which a day lies.
CREATE OR REPLACE FUNCTION partition_start(p_parent name, p_day date) RETURNS date
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT p_day - (p_day - date '2000-01-03') % days FROM partition_plans WHERE parent = p_parent
$$;

-- Makes the partitions that are missing, from that of yesterday to that of `days_ahead` from today;
-- answers with the names of the new ones. UTC days.
-- LIKE + ATTACH takes no lock on the parent that a reader or writer would notice, unlike
-- CREATE TABLE ... PARTITION OF.
CREATE OR REPLACE FUNCTION partitions_ensure(p_parent name) RETURNS SETOF text
LANGUAGE plpgsql SET lock_timeout = '2s' SET search_path FROM CURRENT AS $$
DECLARE
    plan partition_plans;
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    d date;
    t text;
BEGIN
    SELECT * INTO STRICT plan FROM partition_plans WHERE parent = p_parent;
    -- One at a time: nine agents may start at once.
    PERFORM pg_advisory_xact_lock(hashtextextended('uptimeo partitions', 0));
    FOR d IN
        SELECT s::date FROM generate_series(
            partition_start(p_parent, today - 1)::timestamp,
            partition_start(p_parent, today + plan.days_ahead)::timestamp,
            make_interval(days => plan.days)) s
    LOOP
        t := p_parent || '_' || to_char(d, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(quote_ident(t)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH'
            ' (autovacuum_vacuum_insert_scale_factor = 0,'
            ' autovacuum_vacuum_insert_threshold = 500000)', t, p_parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', p_parent,
            t, d::timestamp AT TIME ZONE 'UTC', (d + plan.days)::timestamp AT TIME ZONE 'UTC');
        RETURN NEXT t;
    END LOOP;
END $$;
