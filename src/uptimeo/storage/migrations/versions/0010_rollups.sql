-- What each monitor had to do when, and what came of it in five minutes, an hour, a day.

CREATE TABLE monitor_duty (
    monitor_id  int NOT NULL,
    since       timestamptz NOT NULL,
    interval_s  int,
    datacenters int[],
    PRIMARY KEY (monitor_id, since)
);
COMMENT ON TABLE monitor_duty IS
    'what each monitor had to do from when on, until its next row; kept by triggers, also of monitors that are gone';
COMMENT ON COLUMN monitor_duty.since IS '-infinity in the first row of each monitor';
COMMENT ON COLUMN monitor_duty.interval_s IS
    'seconds between two checks; NULL: nothing was due (disabled, removed, no schedule)';
COMMENT ON COLUMN monitor_duty.datacenters IS 'where, in ascending order; NULL: everywhere';

-- What was in force before this table was there is taken to have been as it is.
INSERT INTO monitor_duty
SELECT m.id, '-infinity', CASE WHEN m.enabled THEN s.interval END,
       CASE WHEN m.enabled AND s.id IS NOT NULL THEN (
           SELECT array_agg(d.datacenter_id ORDER BY d.datacenter_id)
           FROM datacenter_monitors d WHERE d.monitor_id = m.id) END
FROM api_monitors m LEFT JOIN schedules s ON s.id = m.schedule_id;

CREATE TABLE maintenance_windows (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    monitor_id    int REFERENCES api_monitors ON DELETE CASCADE,
    datacenter_id int REFERENCES datacenters ON DELETE CASCADE,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    reason        text NOT NULL,
    CHECK (isfinite(starts_at) AND isfinite(ends_at) AND starts_at < ends_at)
);
CREATE INDEX ON maintenance_windows (ends_at);
CREATE INDEX ON maintenance_windows (monitor_id);
CREATE INDEX ON maintenance_windows (datacenter_id);
COMMENT ON TABLE maintenance_windows IS
    'times that count as maintenance; one that is entered late changes what was rolled up, as far back as there are heartbeats';
COMMENT ON COLUMN maintenance_windows.monitor_id IS 'NULL: all monitors';
COMMENT ON COLUMN maintenance_windows.datacenter_id IS 'NULL: all datacenters';

ALTER TABLE agent_terms ADD COLUMN expired_at timestamptz;
COMMENT ON COLUMN agent_terms.expired_at IS
    'when the lease of this term had run out, if another agent then took it; NULL: it was given back, or goes on';

-- Buckets in which something happened since they were rolled up. One row each, written again and
-- again until the roller takes it: room on the page, and vacuum before it is bloated.
CREATE TABLE rollup_dirty (
    level         smallint NOT NULL CHECK (level IN (5, 60, 1440)),
    datacenter_id int NOT NULL,
    bucket        timestamptz NOT NULL,
    n             bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (level, datacenter_id, bucket)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE rollup_dirty IS 'buckets that have to be rolled up (again)';
COMMENT ON COLUMN rollup_dirty.level IS 'minutes in a bucket';
COMMENT ON COLUMN rollup_dirty.n IS 'how often it was marked since';

CREATE TABLE rollup_progress (
    level         smallint NOT NULL CHECK (level IN (5, 60, 1440)),
    datacenter_id int NOT NULL,
    rolled_until  timestamptz NOT NULL,
    PRIMARY KEY (level, datacenter_id)
) WITH (fillfactor = 20);
COMMENT ON TABLE rollup_progress IS 'how far each datacenter is rolled up';
COMMENT ON COLUMN rollup_progress.level IS 'minutes in a bucket';
COMMENT ON COLUMN rollup_progress.rolled_until IS
    'each bucket that ended by then was rolled up once; what changes in it later is in rollup_dirty';

CREATE TABLE heartbeats_5m (
    monitor_id         int NOT NULL,
    datacenter_id      int NOT NULL,
    bucket             timestamptz NOT NULL,
    up_ms              int NOT NULL,
    degraded_ms        int NOT NULL,
    critical_ms        int NOT NULL,
    down_ms            int NOT NULL,
    maintenance_ms     int NOT NULL,
    unknown_ms         int NOT NULL,
    no_leader_ms       int NOT NULL,
    not_scheduled_ms   int NOT NULL,
    missing_ms         int NOT NULL,
    checks             int NOT NULL,
    up                 int NOT NULL,
    degraded           int NOT NULL,
    critical           int NOT NULL,
    down               int NOT NULL,
    unknown            int NOT NULL,
    attempts           int NOT NULL,
    expected           int NOT NULL,
    total_sum_ms       double precision,
    total_min_ms       real,
    total_max_ms       real,
    dns_sum_ms         double precision,
    dns_min_ms         real,
    dns_max_ms         real,
    connect_sum_ms     double precision,
    connect_min_ms     real,
    connect_max_ms     real,
    tls_sum_ms         double precision,
    tls_min_ms         real,
    tls_max_ms         real,
    wait_sum_ms        double precision,
    wait_min_ms        real,
    wait_max_ms        real,
    ttfb_sum_ms        double precision,
    ttfb_min_ms        real,
    ttfb_max_ms        real,
    transfer_sum_ms    double precision,
    transfer_min_ms    real,
    transfer_max_ms    real,
    total_hist         int[],
    dns_hist           int[],
    connect_hist       int[],
    tls_hist           int[],
    wait_hist          int[],
    ttfb_hist          int[],
    transfer_hist      int[],
    CONSTRAINT heartbeats_5m_adds_up CHECK (up_ms + degraded_ms + critical_ms + down_ms
        + maintenance_ms + unknown_ms + no_leader_ms + not_scheduled_ms + missing_ms = 300000),
    PRIMARY KEY (monitor_id, datacenter_id, bucket)
) PARTITION BY RANGE (bucket);
COMMENT ON COLUMN heartbeats_5m.bucket IS 'when the bucket begins';

COMMENT ON COLUMN heartbeats_5m.up_ms IS 'ms of the bucket that a heartbeat with status up covers';
COMMENT ON COLUMN heartbeats_5m.degraded_ms IS 'ms covered by degraded: slower than the warning threshold';
COMMENT ON COLUMN heartbeats_5m.critical_ms IS 'ms covered by critical: slower than the critical threshold';
COMMENT ON COLUMN heartbeats_5m.down_ms IS 'ms covered by down';
COMMENT ON COLUMN heartbeats_5m.maintenance_ms IS 'ms in a maintenance window while something was due, whatever the heartbeats say';
COMMENT ON COLUMN heartbeats_5m.unknown_ms IS 'ms covered by unknown: a fault of our own, the heartbeat has the reason';
COMMENT ON COLUMN heartbeats_5m.no_leader_ms IS 'ms without a heartbeat while no agent of the datacenter led';
COMMENT ON COLUMN heartbeats_5m.not_scheduled_ms IS 'ms in which nothing was due';
COMMENT ON COLUMN heartbeats_5m.missing_ms IS 'ms without a heartbeat and without a known cause';
COMMENT ON COLUMN heartbeats_5m.checks IS 'heartbeats whose slot lies in the bucket';
COMMENT ON COLUMN heartbeats_5m.up IS 'how many of them were up';
COMMENT ON COLUMN heartbeats_5m.degraded IS 'how many were degraded';
COMMENT ON COLUMN heartbeats_5m.critical IS 'how many were critical';
COMMENT ON COLUMN heartbeats_5m.down IS 'how many were down';
COMMENT ON COLUMN heartbeats_5m.unknown IS 'how many were unknown';
COMMENT ON COLUMN heartbeats_5m.attempts IS 'tries of all of them';
COMMENT ON COLUMN heartbeats_5m.expected IS 'slots in the bucket, by duty';
COMMENT ON COLUMN heartbeats_5m.total_sum_ms IS 'sum of the total, in ms';
COMMENT ON COLUMN heartbeats_5m.total_min_ms IS 'least total, in ms';
COMMENT ON COLUMN heartbeats_5m.total_max_ms IS 'greatest total, in ms';
COMMENT ON COLUMN heartbeats_5m.total_hist IS 'histogram of the total: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.dns_sum_ms IS 'sum of the name lookup, in ms';
COMMENT ON COLUMN heartbeats_5m.dns_min_ms IS 'least name lookup, in ms';
COMMENT ON COLUMN heartbeats_5m.dns_max_ms IS 'greatest name lookup, in ms';
COMMENT ON COLUMN heartbeats_5m.dns_hist IS 'histogram of the name lookup: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.connect_sum_ms IS 'sum of the TCP connect, in ms';
COMMENT ON COLUMN heartbeats_5m.connect_min_ms IS 'least TCP connect, in ms';
COMMENT ON COLUMN heartbeats_5m.connect_max_ms IS 'greatest TCP connect, in ms';
COMMENT ON COLUMN heartbeats_5m.connect_hist IS 'histogram of the TCP connect: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.tls_sum_ms IS 'sum of the TLS handshake, in ms';
COMMENT ON COLUMN heartbeats_5m.tls_min_ms IS 'least TLS handshake, in ms';
COMMENT ON COLUMN heartbeats_5m.tls_max_ms IS 'greatest TLS handshake, in ms';
COMMENT ON COLUMN heartbeats_5m.tls_hist IS 'histogram of the TLS handshake: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.wait_sum_ms IS 'sum of the wait for the first byte after the request, in ms';
COMMENT ON COLUMN heartbeats_5m.wait_min_ms IS 'least wait for the first byte after the request, in ms';
COMMENT ON COLUMN heartbeats_5m.wait_max_ms IS 'greatest wait for the first byte after the request, in ms';
COMMENT ON COLUMN heartbeats_5m.wait_hist IS 'histogram of the wait for the first byte after the request: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.ttfb_sum_ms IS 'sum of the time from the start to the first byte, in ms';
COMMENT ON COLUMN heartbeats_5m.ttfb_min_ms IS 'least time from the start to the first byte, in ms';
COMMENT ON COLUMN heartbeats_5m.ttfb_max_ms IS 'greatest time from the start to the first byte, in ms';
COMMENT ON COLUMN heartbeats_5m.ttfb_hist IS 'histogram of the time from the start to the first byte: see latency_bucket';
COMMENT ON COLUMN heartbeats_5m.transfer_sum_ms IS 'sum of the transfer, in ms';
COMMENT ON COLUMN heartbeats_5m.transfer_min_ms IS 'least transfer, in ms';
COMMENT ON COLUMN heartbeats_5m.transfer_max_ms IS 'greatest transfer, in ms';
COMMENT ON COLUMN heartbeats_5m.transfer_hist IS 'histogram of the transfer: see latency_bucket';

CREATE TABLE heartbeats_1h (
    LIKE heartbeats_5m INCLUDING COMMENTS,
    CONSTRAINT heartbeats_1h_adds_up CHECK (up_ms + degraded_ms + critical_ms + down_ms
        + maintenance_ms + unknown_ms + no_leader_ms + not_scheduled_ms + missing_ms = 3600000),
    PRIMARY KEY (monitor_id, datacenter_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE TABLE heartbeats_1d (
    LIKE heartbeats_5m INCLUDING COMMENTS,
    CONSTRAINT heartbeats_1d_adds_up CHECK (up_ms + degraded_ms + critical_ms + down_ms
        + maintenance_ms + unknown_ms + no_leader_ms + not_scheduled_ms + missing_ms = 86400000),
    PRIMARY KEY (monitor_id, datacenter_id, bucket)
);

COMMENT ON TABLE heartbeats_5m IS
    'each monitor and datacenter in five minutes; kinds of time in ms, which add up to the bucket';
COMMENT ON TABLE heartbeats_1h IS 'as heartbeats_5m, of an hour';
COMMENT ON TABLE heartbeats_1d IS 'as heartbeats_5m, of a day (UTC)';

INSERT INTO partition_plans VALUES ('heartbeats_5m', 7, 14, 90), ('heartbeats_1h', 28, 56, 730);

CREATE TYPE uptime_answer AS (
    monitor_id         int,
    datacenters        int[],
    window_start       timestamptz,
    window_end         timestamptz,
    window_ms          bigint,
    up_ms              bigint,
    degraded_ms        bigint,
    critical_ms        bigint,
    down_ms            bigint,
    maintenance_ms     bigint,
    unknown_ms         bigint,
    no_leader_ms       bigint,
    missing_ms         bigint,
    not_scheduled_ms   bigint,
    without_verdict_ms bigint,
    checks             bigint,
    expected           bigint,
    coverage           numeric,
    uptime             numeric,
    uptime_gaps_down   numeric
);
COMMENT ON TYPE uptime_answer IS
    'what uptime(), uptimes() and uptime_by_datacenter() answer; the kinds of time add up to window_ms';
COMMENT ON COLUMN uptime_answer.datacenters IS
    'those whose time is summed: the ones asked for, else the ones in which something was due';
COMMENT ON COLUMN uptime_answer.window_start IS 'the start asked for, moved back to a bucket that is kept';
COMMENT ON COLUMN uptime_answer.window_end IS
    'the end asked for, moved on to a bucket that is kept, but not beyond what is rolled up';
COMMENT ON COLUMN uptime_answer.window_ms IS 'from start to end, times the number of datacenters';
COMMENT ON COLUMN uptime_answer.up_ms IS 'ms that a heartbeat with status up covers';
COMMENT ON COLUMN uptime_answer.degraded_ms IS 'ms covered by degraded';
COMMENT ON COLUMN uptime_answer.critical_ms IS 'ms covered by critical';
COMMENT ON COLUMN uptime_answer.down_ms IS 'ms covered by down';
COMMENT ON COLUMN uptime_answer.maintenance_ms IS 'ms in maintenance windows';
COMMENT ON COLUMN uptime_answer.unknown_ms IS 'ms covered by unknown: a fault of our own';
COMMENT ON COLUMN uptime_answer.no_leader_ms IS 'ms without a heartbeat while nobody led';
COMMENT ON COLUMN uptime_answer.missing_ms IS 'ms without a heartbeat and without a known cause';
COMMENT ON COLUMN uptime_answer.not_scheduled_ms IS 'ms in which nothing was due';
COMMENT ON COLUMN uptime_answer.without_verdict_ms IS 'unknown_ms + no_leader_ms + missing_ms';
COMMENT ON COLUMN uptime_answer.checks IS 'heartbeats whose slot lies in the window';
COMMENT ON COLUMN uptime_answer.expected IS 'slots in the window, by duty';
COMMENT ON COLUMN uptime_answer.coverage IS
    'share of the window, without maintenance and what was not scheduled, for which there is a verdict; rounded down';
COMMENT ON COLUMN uptime_answer.uptime IS
    'share of the time with a verdict in which the target was not down: 1 only if it never was; rounded down';
COMMENT ON COLUMN uptime_answer.uptime_gaps_down IS
    'the same with without_verdict_ms counted as down';
