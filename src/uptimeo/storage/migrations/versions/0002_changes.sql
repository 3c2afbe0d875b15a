-- Every change of what is to be watched announces itself; agents read the rows again.
-- One notice a statement: a thousand rows changed at once are read once.
CREATE FUNCTION config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('uptimeo_config', TG_TABLE_NAME);
    RETURN NULL;
END $$;

CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_monitors
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON schedules
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON datacenter_monitors
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
