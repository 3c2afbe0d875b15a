-- What to watch, where, how often. The columns that older installations have keep name and type.

CREATE TABLE regions (
    id          serial PRIMARY KEY,
    name        varchar(50) NOT NULL,
    region_code varchar(20) UNIQUE,
    group_name  varchar(20)
);

CREATE TABLE datacenters (
    id        serial PRIMARY KEY,
    code      varchar(10) NOT NULL UNIQUE,
    name      varchar(50) NOT NULL,
    region_id int REFERENCES regions
);

CREATE TABLE agents (
    id            serial PRIMARY KEY,
    name          varchar(50) NOT NULL,
    datacenter_id int NOT NULL REFERENCES datacenters,
    UNIQUE (datacenter_id, name)
);

CREATE TABLE schedules (
    id                    serial PRIMARY KEY,
    name                  varchar(50) NOT NULL UNIQUE,
    interval              int NOT NULL CHECK (interval BETWEEN 1 AND 86400),
    include_response_body boolean NOT NULL DEFAULT false,
    thresholds_warning    int CHECK (thresholds_warning > 0),
    thresholds_critical   int CHECK (thresholds_critical > 0),
    timeout_ms            int CHECK (timeout_ms BETWEEN 1 AND 86400000),
    CONSTRAINT schedules_thresholds_ordered CHECK (thresholds_warning <= thresholds_critical)
);
COMMENT ON COLUMN schedules.interval IS 'seconds between two checks';
COMMENT ON COLUMN schedules.thresholds_warning IS 'ms of total time above which a check is degraded';
COMMENT ON COLUMN schedules.thresholds_critical IS 'ms of total time above which a check is critical';
COMMENT ON COLUMN schedules.timeout_ms IS 'budget of a whole check; NULL is 10000; never above the interval';

-- A row here may be wrong in ways that a constraint cannot judge (a URL, a header); such a row
-- disables its own monitor and is listed in monitor_config_errors.
CREATE TABLE api_monitors (
    id          serial PRIMARY KEY,
    name        varchar(100) NOT NULL,
    method      varchar(10) NOT NULL DEFAULT 'GET',
    type        varchar(10) NOT NULL DEFAULT 'HTTP',
    url         text NOT NULL,
    schedule_id int REFERENCES schedules,
    headers     jsonb,
    body        jsonb,
    enabled     boolean NOT NULL DEFAULT true,
    timeout_ms  int CHECK (timeout_ms BETWEEN 1 AND 86400000),
    options     jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT api_monitors_method_is_a_token CHECK (method ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$')
);
CREATE INDEX ON api_monitors (schedule_id);
COMMENT ON COLUMN api_monitors.timeout_ms IS 'overrides the timeout of the schedule';
COMMENT ON COLUMN api_monitors.options IS 'what the probe type takes beyond the columns, by name';

CREATE TABLE datacenter_monitors (
    datacenter_id int NOT NULL REFERENCES datacenters ON DELETE CASCADE,
    monitor_id    int NOT NULL REFERENCES api_monitors ON DELETE CASCADE,
    PRIMARY KEY (datacenter_id, monitor_id)
);
CREATE INDEX ON datacenter_monitors (monitor_id);
COMMENT ON TABLE datacenter_monitors IS
    'where a monitor runs; a monitor with no row here runs in every datacenter';

CREATE TABLE monitor_config_errors (
    monitor_id int PRIMARY KEY REFERENCES api_monitors ON DELETE CASCADE,
    reason     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE monitor_config_errors IS
    'monitors whose row cannot be used, and why; the agents keep it up to date';
