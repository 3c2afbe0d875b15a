-- The columns of a row that are named, as an object.
CREATE OR REPLACE FUNCTION config_key(p_row jsonb, p_columns text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT jsonb_object_agg(c, p_row -> c) FROM unnest(p_columns) c
$$;

-- Keeps each row that a statement changed. Its arguments are the columns of the primary key.
-- A key that was changed is a row that went and one that came.
CREATE OR REPLACE FUNCTION config_record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO config_history (source, action, key, new)
        SELECT TG_TABLE_NAME, 'insert', config_key(to_jsonb(n), TG_ARGV), to_jsonb(n)
        FROM new_rows n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO config_history (source, action, key, old)
        SELECT TG_TABLE_NAME, 'delete', config_key(to_jsonb(o), TG_ARGV), to_jsonb(o)
        FROM old_rows o;
    ELSE
        INSERT INTO config_history (source, action, key, old, new)
        SELECT TG_TABLE_NAME,
               CASE WHEN o.it IS NULL THEN 'insert' WHEN n.it IS NULL THEN 'delete' ELSE 'update' END,
               coalesce(n.key, o.key), o.it, n.it
        FROM (SELECT config_key(to_jsonb(r), TG_ARGV) AS key, to_jsonb(r) AS it FROM old_rows r) o
        FULL JOIN
             (SELECT config_key(to_jsonb(r), TG_ARGV) AS key, to_jsonb(r) AS it FROM new_rows r) n
        ON n.key = o.key
        WHERE n.it IS DISTINCT FROM o.it;
    END IF;
    RETURN NULL;
END $$;

-- A TRUNCATE leaves no rows to look at: what it will empty is kept before it does.
CREATE OR REPLACE FUNCTION config_record_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO config_history (source, action, key, old)'
        ' SELECT %L, ''delete'', config_key(to_jsonb(r), $1), to_jsonb(r) FROM %I r',
        TG_TABLE_NAME, TG_TABLE_NAME) USING TG_ARGV;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER record_insert AFTER INSERT ON api_monitors
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_update AFTER UPDATE ON api_monitors
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_delete AFTER DELETE ON api_monitors
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_truncate BEFORE TRUNCATE ON api_monitors
    FOR EACH STATEMENT EXECUTE FUNCTION config_record_truncate('id');

CREATE OR REPLACE TRIGGER record_insert AFTER INSERT ON schedules
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_update AFTER UPDATE ON schedules
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_delete AFTER DELETE ON schedules
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION config_record('id');
CREATE OR REPLACE TRIGGER record_truncate BEFORE TRUNCATE ON schedules
    FOR EACH STATEMENT EXECUTE FUNCTION config_record_truncate('id');

CREATE OR REPLACE TRIGGER record_insert AFTER INSERT ON datacenter_monitors
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION config_record('datacenter_id', 'monitor_id');
CREATE OR REPLACE TRIGGER record_update AFTER UPDATE ON datacenter_monitors
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION config_record('datacenter_id', 'monitor_id');
CREATE OR REPLACE TRIGGER record_delete AFTER DELETE ON datacenter_monitors
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION config_record('datacenter_id', 'monitor_id');
CREATE OR REPLACE TRIGGER record_truncate BEFORE TRUNCATE ON datacenter_monitors
    FOR EACH STATEMENT EXECUTE FUNCTION config_record_truncate('datacenter_id', 'monitor_id');

-- A row of a table as it was at a moment; NULL if there was none then, or nothing is known of it.
CREATE OR REPLACE FUNCTION config_row_at(p_source name, p_key jsonb, p_at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT new FROM config_history
    WHERE source = p_source AND key = p_key AND changed_at <= p_at
    ORDER BY id DESC LIMIT 1
$$;

-- What a monitor had to do at a moment: its row, that of its schedule, and its datacenters, NULL
-- for all of them. No row: there was no such monitor.
CREATE OR REPLACE FUNCTION config_at(p_monitor int, p_at timestamptz)
RETURNS TABLE (monitor jsonb, schedule jsonb, datacenters int[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT m, config_row_at('schedules', jsonb_build_object('id', m -> 'schedule_id'), p_at),
           (SELECT array_agg((x.key ->> 'datacenter_id')::int ORDER BY x.key) FROM (
                SELECT DISTINCT ON (key) key, new FROM config_history
                WHERE source = 'datacenter_monitors' AND (key ->> 'monitor_id')::int = p_monitor
                  AND changed_at <= p_at
                ORDER BY key, id DESC) x
            WHERE x.new IS NOT NULL)
    FROM config_row_at('api_monitors', jsonb_build_object('id', p_monitor), p_at) m
    WHERE m IS NOT NULL
$$;

-- The changes that touched a monitor: of its row, of where it runs, and of the schedules it had
-- while it had them. Only the columns that changed; for a row that came or went, all of them.
CREATE OR REPLACE FUNCTION monitor_history(p_monitor int)
RETURNS TABLE (id bigint, changed_at timestamptz, role text, application text, address inet,
               source name, action text, old jsonb, new jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH own AS (
        SELECT h.id, h.changed_at, (h.new ->> 'schedule_id')::int AS schedule_id,
               lead(h.id) OVER (ORDER BY h.id) AS until
        FROM config_history h
        WHERE h.source = 'api_monitors' AND h.key = jsonb_build_object('id', p_monitor)
    ), found AS (
        SELECT h.* FROM config_history h JOIN own USING (id)
        UNION ALL
        SELECT h.* FROM config_history h
        WHERE h.source = 'datacenter_monitors' AND (h.key ->> 'monitor_id')::int = p_monitor
        UNION ALL
        SELECT h.* FROM own
        JOIN config_history h ON h.source = 'schedules' AND h.action = 'update'
            AND h.key = jsonb_build_object('id', own.schedule_id)
            AND h.id > own.id AND (own.until IS NULL OR h.id < own.until)
    )
    SELECT f.id, f.changed_at, f.role, f.application, f.address, f.source, f.action,
           CASE WHEN f.action = 'update' THEN (
               SELECT jsonb_object_agg(k, f.old -> k) FROM jsonb_object_keys(f.old) k
               WHERE f.old -> k IS DISTINCT FROM f.new -> k) ELSE f.old END,
           CASE WHEN f.action = 'update' THEN (
               SELECT jsonb_object_agg(k, f.new -> k) FROM jsonb_object_keys(f.new) k
               WHERE f.old -> k IS DISTINCT FROM f.new -> k) ELSE f.new END
    FROM found f ORDER BY f.id
$$;
