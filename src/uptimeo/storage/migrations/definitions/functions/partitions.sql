-- The first day of the partition of `p_parent` in which a day lies.
CREATE OR REPLACE FUNCTION partition_start(p_parent name, p_day date) RETURNS date
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT p_day - (p_day - date '2000-01-03') % days FROM partition_plans WHERE parent = p_parent
$$;

-- From when to when the partitions of a table reach, whatever they are called; NULL: no end.
-- `detaching`: somebody's DETACH ... CONCURRENTLY was broken off, so that it takes no rows.
-- Nothing is locked: a bound has no columns, so its text can be had without its table.
CREATE OR REPLACE FUNCTION partition_bounds(p_parent name)
RETURNS TABLE (partition name, lo timestamptz, hi timestamptz, detaching boolean)
LANGUAGE sql STABLE SET timezone = 'UTC' SET datestyle = 'ISO' SET search_path FROM CURRENT AS $$
    SELECT c.relname, b.ends[1]::timestamptz, b.ends[2]::timestamptz, i.inhdetachpending
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, 0),
        'FROM \((?:MINVALUE|''([^'']+)'')\) TO \((?:MAXVALUE|''([^'']+)'')\)') AS ends) b
    WHERE i.inhparent = to_regclass(quote_ident(p_parent)) AND b.ends IS NOT NULL
$$;

-- All times for which a row finds a partition.
CREATE OR REPLACE FUNCTION partition_coverage(p_parent name) RETURNS tstzmultirange
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT coalesce(range_agg(tstzrange(lo, hi)) FILTER (WHERE NOT detaching), '{}')
    FROM partition_bounds(p_parent)
$$;

-- How many whole UTC days after today have partitions, up to the first gap; -1: not even today.
CREATE OR REPLACE FUNCTION partition_days_ahead(
    p_parent name, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
    SELECT coalesce(max(least(upper(r), p_now + interval '10 years')::date - p_now::date - 1), -1)
    FROM unnest(partition_coverage(p_parent)) r WHERE p_now <@ r
$$;

-- Makes one partition; answers with its name.
-- LIKE + ATTACH takes no lock on the parent that a reader or writer would notice, unlike
-- CREATE TABLE ... PARTITION OF.
CREATE OR REPLACE FUNCTION partition_add(p_parent name, p_lo timestamptz, p_hi timestamptz)
RETURNS text
LANGUAGE plpgsql SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    t CONSTANT text := p_parent || '_' || to_char(p_lo, 'YYYYMMDD');
BEGIN
    -- Rows are not changed once their time is over: they are frozen when they are first
    -- vacuumed, so that no page is written a second time to save it from wraparound.
    EXECUTE format(
        'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH'
        ' (autovacuum_vacuum_insert_scale_factor = 0,'
        ' autovacuum_vacuum_insert_threshold = 500000,'
        ' autovacuum_freeze_min_age = 0)', t, p_parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   p_parent, t, p_lo, p_hi);
    RETURN t;
END $$;

-- Makes the partition in which a moment lies, if it is missing: partitions_ensure makes those from
-- yesterday on, and late heartbeats may be of an older day.
CREATE OR REPLACE FUNCTION partition_for(p_parent name, p_at timestamptz) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '2s' SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    d CONSTANT date := partition_start(p_parent, p_at::date);
    t CONSTANT name := p_parent || '_' || to_char(d, 'YYYYMMDD');
BEGIN
    IF to_regclass(quote_ident(t)) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('uptimeo partitions', 0));
        -- Not by to_regclass: it remembers that there was none, even if somebody made it since.
        IF NOT EXISTS (SELECT FROM partition_bounds(p_parent) b WHERE b.partition = t) THEN
            PERFORM partition_add(p_parent, d, d + (
                SELECT days FROM partition_plans WHERE parent = p_parent));
        END IF;
    END IF;
END $$;

-- Makes the partitions that are missing, from that of yesterday to that of `days_ahead` from today;
-- answers with the names of the new ones. UTC days. What another partition reaches is left out.
CREATE OR REPLACE FUNCTION partitions_ensure(
    p_parent name, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '2s' SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    plan partition_plans;
    d timestamptz;
    gap tstzrange;
BEGIN
    PERFORM agent_check_time(p_now);
    SELECT * INTO STRICT plan FROM partition_plans WHERE parent = p_parent;
    -- One at a time: many agents may start at once.
    PERFORM pg_advisory_xact_lock(hashtextextended('uptimeo partitions', 0));
    FOR d IN
        SELECT generate_series(partition_start(p_parent, p_now::date - 1)::timestamptz,
                               partition_start(p_parent, p_now::date + plan.days_ahead)::timestamptz,
                               make_interval(days => plan.days))
    LOOP
        FOR gap IN
            SELECT unnest(tstzmultirange(tstzrange(d, d + make_interval(days => plan.days)))
                          - partition_coverage(p_parent))
        LOOP
            RETURN NEXT partition_add(p_parent, lower(gap), upper(gap));
        END LOOP;
    END LOOP;
END $$;

-- Drops the oldest partition all of whose rows are older than the plan keeps, at most one a call.
-- Its outcome: `dropped`; `busy`: a lock was not to be had within 100 ms, try again later; `none`;
-- `held`: the clock is not believed (`retention_held`).
-- Whoever reads or writes the table waits at most that long: while a reader keeps the parent, the
-- request gives way, and no reader is ended. DROP also takes it out of the parent, under the same
-- locks as DETACH. The files go after the locks.
CREATE OR REPLACE FUNCTION partition_drop_expired(
    p_parent name, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (partition name, outcome text)
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '100ms' SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    plan partition_plans;
BEGIN
    PERFORM agent_check_time(p_now);
    IF NOT retention_may(p_now) THEN
        outcome := 'held';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT * INTO STRICT plan FROM partition_plans WHERE parent = p_parent;
    SELECT b.partition INTO partition FROM partition_bounds(p_parent) b
    WHERE b.hi <= p_now - make_interval(days => plan.keep_days) ORDER BY b.hi LIMIT 1;
    outcome := 'none';
    IF partition IS NOT NULL THEN
        BEGIN
            EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', p_parent);
            -- With the parent in hand there is no more waiting.
            EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE NOWAIT', partition);
            EXECUTE format('DROP TABLE %I', partition);
            outcome := 'dropped';
        EXCEPTION WHEN lock_not_available THEN
            outcome := 'busy';
        END;
    END IF;
    RETURN NEXT;
END $$;

-- Refuses to keep a table for less than its floor, or than a table that it has to outlive.
CREATE OR REPLACE FUNCTION partition_plans_check() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    forever CONSTANT int := 2147483647;
    keep int := coalesce(new.keep_days, forever);
    other partition_plans;
BEGIN
    IF keep < new.keep_at_least THEN
        RAISE check_violation USING MESSAGE = format(
            '%s must be kept for at least %s days, not %s', new.parent, new.keep_at_least, keep);
    END IF;
    SELECT * INTO other FROM partition_plans p WHERE p.parent <> new.parent AND (
        p.parent = new.outlives AND coalesce(p.keep_days, forever) > keep
        OR p.outlives = new.parent AND coalesce(p.keep_days, forever) < keep);
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format(
            '%s must be kept at least as long as %s: change %s first (it is kept %s)',
            CASE new.outlives WHEN other.parent THEN new.parent ELSE other.parent END,
            CASE new.outlives WHEN other.parent THEN other.parent ELSE new.parent END,
            other.parent, coalesce(other.keep_days || ' days', 'for ever'));
    END IF;
    RETURN new;
END $$;
CREATE OR REPLACE TRIGGER partition_plans_check BEFORE INSERT OR UPDATE ON partition_plans
    FOR EACH ROW EXECUTE FUNCTION partition_plans_check();

-- Deletes what no partition bounds, at most 10,000 rows of each table a call; how many there were.
-- Set aside rows are evidence for 90 days. A term is a fence as long as its heartbeats may still
-- come, and history for two years. An agent that was silent for a month has been replaced.
-- Nothing goes while the clock is not believed.
CREATE OR REPLACE FUNCTION history_expire(p_now timestamptz DEFAULT clock_timestamp()) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    kept int := (SELECT coalesce(keep_days, 100000) FROM partition_plans
                 WHERE parent = 'heartbeats');
    -- Days that somebody detached to keep them have traits, too. What has no day in its name, as
    -- a copy, may be of whatever day.
    first_day date := least((partitions_begin('heartbeats') AT TIME ZONE 'UTC')::date, (
        SELECT min(CASE WHEN relname ~ '^heartbeats_[0-9]{8}$'
                         AND pg_input_is_valid(right(relname, 8), 'date')
                   THEN right(relname, 8)::date ELSE '-infinity' END)
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE attname = 'traits_id' AND relkind = 'r' AND NOT relispartition));
    n int;
    total int := 0;
BEGIN
    PERFORM agent_check_time(p_now);
    IF NOT retention_may(p_now) THEN
        RETURN 0;
    END IF;
    DELETE FROM api_heartbeats_set_aside WHERE id IN (
        SELECT id FROM api_heartbeats_set_aside
        WHERE received_at < p_now - interval '90 days' ORDER BY received_at LIMIT 10000);
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
    DELETE FROM agent_terms t WHERE (t.datacenter_id, t.term) IN (
        SELECT datacenter_id, term FROM agent_terms past WHERE EXISTS (
            SELECT FROM agent_terms next
            WHERE next.datacenter_id = past.datacenter_id AND next.term = past.term + 1
              AND next.started_at < p_now - make_interval(days => greatest(730, kept)))
        LIMIT 10000);
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
    -- No row has them: who stores a heartbeat notes its day first. One that does so at this moment is
    -- waited for, and seen: the condition is judged again.
    DELETE FROM heartbeat_traits WHERE id IN (
        SELECT id FROM heartbeat_traits WHERE last_used < first_day LIMIT 10000)
      AND last_used < first_day;
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
    DELETE FROM agent_instances WHERE last_seen < p_now - interval '30 days';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN total + n;
END $$;
