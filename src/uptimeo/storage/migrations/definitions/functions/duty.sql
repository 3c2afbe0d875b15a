-- Notes what these monitors have to do from now on, where that differs from the last row; answers
-- with the number of changes. One transaction is one change: steps in between were never in force.
CREATE OR REPLACE FUNCTION monitor_duty_note(p_monitors int[]) RETURNS int
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    changes int;
BEGIN
    INSERT INTO monitor_duty (monitor_id, since)
    SELECT asked.id, '-infinity' FROM unnest(p_monitors) asked (id)
    WHERE NOT EXISTS (SELECT FROM monitor_duty d WHERE d.monitor_id = asked.id)
    ON CONFLICT DO NOTHING;

    INSERT INTO monitor_duty AS d (monitor_id, since, interval_s, datacenters)
    SELECT asked.id, greatest(now(), last.since), due.interval_s, due.datacenters
    FROM unnest(p_monitors) asked (id)
    JOIN LATERAL (
        SELECT * FROM monitor_duty
        WHERE monitor_id = asked.id ORDER BY since DESC LIMIT 1) last ON true
    LEFT JOIN LATERAL (
        SELECT s.interval AS interval_s, (
            SELECT array_agg(datacenter_id ORDER BY datacenter_id)
            FROM datacenter_monitors WHERE monitor_id = m.id) AS datacenters
        FROM api_monitors m JOIN schedules s ON s.id = m.schedule_id
        WHERE m.id = asked.id AND m.enabled) due ON true
    WHERE (due.interval_s, due.datacenters) IS DISTINCT FROM (last.interval_s, last.datacenters)
    ON CONFLICT (monitor_id, since) DO UPDATE
        SET interval_s = excluded.interval_s, datacenters = excluded.datacenters;
    GET DIAGNOSTICS changes = ROW_COUNT;
    IF changes > 0 THEN
        PERFORM rollup_mark(now(), 'infinity', NULL);
    END IF;
    RETURN changes;
END $$;

-- Notes what the triggers could not see: two transactions at once that each saw half of a change,
-- TRUNCATE, a restored dump. Answers with the number of changes.
CREATE OR REPLACE FUNCTION monitor_duty_reconcile() RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT monitor_duty_note(ARRAY(
        SELECT id FROM api_monitors UNION SELECT monitor_id FROM monitor_duty ORDER BY 1))
$$;

-- What monitors had to do in a datacenter: stretches of time with one interval, NULL for nothing,
-- of all monitors that are or ever were. They follow each other from -infinity to infinity; those
-- that touch the time asked for are answered.
CREATE OR REPLACE FUNCTION duty_spans(p_datacenter int, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (monitor_id int, since timestamptz, until timestamptz, interval_ms int)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT * FROM (
        SELECT b.monitor_id, b.since, lead(b.since, 1, 'infinity') OVER w, b.interval_ms
        FROM (
            SELECT a.*, lag(a.interval_ms) OVER w AS before
            FROM (
                SELECT d.monitor_id, d.since, CASE
                    WHEN d.datacenters IS NULL OR p_datacenter = ANY (d.datacenters)
                    THEN d.interval_s * 1000 END AS interval_ms
                FROM monitor_duty d WHERE d.since < p_to) a
            WINDOW w AS (PARTITION BY a.monitor_id ORDER BY a.since)) b
        WHERE b.since = '-infinity' OR b.interval_ms IS DISTINCT FROM b.before
        WINDOW w AS (PARTITION BY b.monitor_id ORDER BY b.since)) c (monitor_id, since, until, interval_ms)
    WHERE until > p_from
$$;

CREATE OR REPLACE FUNCTION monitors_changed_duty() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM monitor_duty_note(ARRAY(SELECT id FROM changed ORDER BY 1));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER duty_inserted AFTER INSERT ON api_monitors
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION monitors_changed_duty();
CREATE OR REPLACE TRIGGER duty_updated AFTER UPDATE ON api_monitors
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION monitors_changed_duty();
CREATE OR REPLACE TRIGGER duty_deleted AFTER DELETE ON api_monitors
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION monitors_changed_duty();

-- Only of a schedule whose interval changed: each monitor that is added to one by name updates its
-- row, and to look at all its monitors each time would take a thousand of them 0.3 s for the next.
CREATE OR REPLACE FUNCTION schedules_changed_duty() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM monitor_duty_note(ARRAY(
        SELECT m.id FROM api_monitors m JOIN changed c ON c.id = m.schedule_id
        WHERE NOT EXISTS (SELECT FROM before b WHERE b.id = c.id AND b.interval = c.interval)
        ORDER BY 1));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER duty_updated AFTER UPDATE ON schedules
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION schedules_changed_duty();

CREATE OR REPLACE FUNCTION assignments_changed_duty() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM monitor_duty_note(ARRAY(SELECT DISTINCT monitor_id FROM changed ORDER BY 1));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER duty_inserted AFTER INSERT ON datacenter_monitors
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION assignments_changed_duty();
CREATE OR REPLACE TRIGGER duty_moved_from AFTER UPDATE ON datacenter_monitors
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION assignments_changed_duty();
CREATE OR REPLACE TRIGGER duty_moved_to AFTER UPDATE ON datacenter_monitors
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION assignments_changed_duty();
CREATE OR REPLACE TRIGGER duty_deleted AFTER DELETE ON datacenter_monitors
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION assignments_changed_duty();
