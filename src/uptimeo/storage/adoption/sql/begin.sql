-- What an adoption needs while it lasts. After the cutover the older tables stand in this schema.

CREATE SCHEMA IF NOT EXISTS uptimeo_older;
CREATE SCHEMA IF NOT EXISTS uptimeo_staging;

CREATE TABLE IF NOT EXISTS uptimeo_older.adoption (
    one_row      boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    began_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_id      bigint,
    upto         bigint,
    total        bigint,
    copied       bigint NOT NULL DEFAULT 0,
    moved        bigint NOT NULL DEFAULT 0,
    caught_up    bigint NOT NULL DEFAULT 0,
    cut_over_at  timestamptz,
    stall        interval,
    verified_at  timestamptz
);
COMMENT ON COLUMN uptimeo_older.adoption.last_id IS
    'heartbeats up to this id are copied in order; whatever happened since is in changes';
COMMENT ON COLUMN uptimeo_older.adoption.upto IS 'the id up to which they are copied';
COMMENT ON COLUMN uptimeo_older.adoption.moved IS
    'heartbeats of one monitor and time that another one had: some microseconds later';
INSERT INTO uptimeo_older.adoption DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Heartbeats of the older table that were written since the copying began.
CREATE TABLE IF NOT EXISTS uptimeo_older.changes (
    n           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          bigint NOT NULL,
    executed_at timestamp,
    is_new      boolean NOT NULL
);

-- The columns that are not ours, and what they are called beside ours.
CREATE TABLE IF NOT EXISTS uptimeo_older.kept_columns (
    table_name name, older name, ours name NOT NULL, PRIMARY KEY (table_name, older));

-- As the owner: an older agent has no rights here.
CREATE OR REPLACE FUNCTION uptimeo_older.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'this table is being adopted by `uptimeo migrate`: truncate it afterwards';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO uptimeo_older.changes (id, executed_at, is_new)
        VALUES (OLD.id, OLD.executed_at, false);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO uptimeo_older.changes (id, executed_at, is_new)
        VALUES (NEW.id, NEW.executed_at, TG_OP = 'INSERT');
    END IF;
    RETURN NULL;
END $$;

-- The slot of an older heartbeat: when it ran. What has no time that a partition can be named
-- after gets a place of its own at either end, one for each id.
CREATE OR REPLACE FUNCTION uptimeo_older.slot(p_executed_at timestamp, p_id bigint)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_executed_at >= '1970-01-01' AND p_executed_at < '9999-12-31'
            THEN p_executed_at AT TIME ZONE 'UTC'
        ELSE (CASE WHEN p_executed_at >= '9999-12-31' THEN timestamp '9999-12-31'
                   ELSE timestamp '1970-01-01' END) AT TIME ZONE 'UTC'
            + (abs(p_id) % 86000000000) * interval '1 microsecond'
    END
$$;

-- A text that nobody before it has, of at most that many characters.
CREATE OR REPLACE FUNCTION uptimeo_older.told_apart(p_text text, p_nth bigint, p_id bigint, p_width int)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_nth = 1 THEN p_text
                ELSE left(p_text, p_width - 1 - length(p_id::text)) || '-' || p_id END
$$;
