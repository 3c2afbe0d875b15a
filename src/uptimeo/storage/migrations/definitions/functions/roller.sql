-- Until when buckets of a level can be rolled up for the first time: half a minute after five
-- minutes have passed, so that the heartbeats of the last slot are there; then as far as the level
-- below is.
CREATE OR REPLACE FUNCTION rollup_ripe(p_level int, p_datacenter int) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT rollup_bucket(p_level, CASE p_level
        WHEN 5 THEN clock_timestamp() - interval '30 s'
        ELSE (SELECT rolled_until FROM rollup_progress
              WHERE level = CASE p_level WHEN 60 THEN 5 ELSE 60 END
                AND datacenter_id = p_datacenter) END)
$$;

-- Where a datacenter begins that is not rolled up yet: with its first term or its first heartbeat.
CREATE OR REPLACE FUNCTION rollup_begin(p_level int) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO rollup_progress
    SELECT p_level, datacenter_id, greatest(
        rollup_bucket(p_level, min(since)),
        rollup_bucket(p_level, nullif(partitions_begin('heartbeats'), '-infinity')))
    FROM (
        SELECT datacenter_id, started_at AS since FROM agent_terms
        WHERE datacenter_id <> 0  -- maintenance
        UNION ALL SELECT datacenter_id, bucket FROM rollup_dirty) begun
    WHERE NOT EXISTS (SELECT FROM rollup_progress p
                      WHERE p.level = p_level AND p.datacenter_id = begun.datacenter_id)
    GROUP BY datacenter_id
    ON CONFLICT DO NOTHING
$$;

-- Takes the marks off some buckets that were rolled up before, rolls them up again, and answers
-- with their number. The marks go first, and what is read is read by a later statement: a heartbeat
-- that the roller does not see has left, or will leave, a mark of its own.
CREATE OR REPLACE FUNCTION rollup_again(p_level int, p_limit int) RETURNS int
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    places int[];
    buckets timestamptz[];
BEGIN
    WITH taken AS (
        DELETE FROM rollup_dirty WHERE (level, datacenter_id, bucket) IN (
            SELECT d.level, d.datacenter_id, d.bucket
            FROM rollup_dirty d JOIN rollup_progress p USING (level, datacenter_id)
            WHERE d.level = p_level AND d.bucket < p.rolled_until
            ORDER BY d.bucket DESC LIMIT p_limit FOR UPDATE OF d SKIP LOCKED)
        RETURNING datacenter_id, bucket)
    SELECT array_agg(datacenter_id ORDER BY bucket), array_agg(bucket ORDER BY bucket)
    INTO places, buckets FROM taken;
    FOR i IN 1 .. coalesce(cardinality(buckets), 0) LOOP
        PERFORM rollup(p_level, places[i], buckets[i]);
    END LOOP;
    RETURN coalesce(cardinality(buckets), 0);
END $$;

-- Rolls up some buckets of a datacenter that have passed since; answers with their number, 0 also
-- while another roller is at this datacenter.
CREATE OR REPLACE FUNCTION rollup_forward(p_level int, p_datacenter int, p_limit int) RETURNS int
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    step CONSTANT interval := make_interval(mins => p_level);
    first timestamptz;
    beyond timestamptz;
    b timestamptz;
BEGIN
    SELECT rolled_until INTO first FROM rollup_progress
    WHERE level = p_level AND datacenter_id = p_datacenter FOR UPDATE SKIP LOCKED;
    beyond := least(rollup_ripe(p_level, p_datacenter), first + p_limit * step);
    IF first IS NULL OR first >= beyond THEN
        RETURN 0;
    END IF;
    -- A mark that is locked belongs to a heartbeat that is not committed: it stays, for later.
    DELETE FROM rollup_dirty WHERE (level, datacenter_id, bucket) IN (
        SELECT level, datacenter_id, bucket FROM rollup_dirty
        WHERE level = p_level AND datacenter_id = p_datacenter
          AND bucket >= first AND bucket < beyond
        ORDER BY bucket FOR UPDATE SKIP LOCKED);
    b := first;
    WHILE b < beyond LOOP
        PERFORM rollup(p_level, p_datacenter, b);
        b := b + step;
    END LOOP;
    UPDATE rollup_progress SET rolled_until = beyond
    WHERE level = p_level AND datacenter_id = p_datacenter;
    RETURN extract(epoch FROM beyond - first)::int / (p_level * 60);
END $$;

-- One step of the roller at a level: at most `p_limit` buckets, those first that have just passed.
-- Call it for 5, 60 and 1440 minutes in turn, each in a transaction of its own, until it answers 0.
-- Any number may run at once.
CREATE OR REPLACE FUNCTION rollup_step(p_level int, p_limit int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    place int;
    rolled int := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'rollup_step needs READ COMMITTED, not %: each of its statements has to see'
            ' what was committed before it', upper(current_setting('transaction_isolation'));
    END IF;
    PERFORM rollup_begin(p_level);
    FOR place IN SELECT datacenter_id FROM rollup_progress WHERE level = p_level
                 ORDER BY rolled_until, datacenter_id LOOP
        EXIT WHEN rolled >= p_limit;
        rolled := rolled + rollup_forward(p_level, place, p_limit - rolled);
    END LOOP;
    RETURN CASE WHEN rolled > 0 THEN rolled ELSE rollup_again(p_level, p_limit) END;
END $$;

-- How many buckets of a level wait for the roller.
CREATE OR REPLACE FUNCTION rollup_waiting(p_level int) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT coalesce(sum(again + forward), 0)::bigint FROM (
        SELECT (SELECT count(*) FROM rollup_dirty d
                WHERE d.level = p.level AND d.datacenter_id = p.datacenter_id
                  AND d.bucket < p.rolled_until) AS again,
               greatest(0, extract(epoch FROM
                   rollup_ripe(p.level, p.datacenter_id) - p.rolled_until) / (p.level * 60)) AS forward
        FROM rollup_progress p WHERE p.level = p_level) places
$$;
