-- Expected against stored, by hour and by day.
CREATE OR REPLACE VIEW monitor_hours AS
SELECT r.bucket AS hour, r.monitor_id, m.name AS monitor, r.datacenter_id, d.code AS datacenter,
       r.expected, r.checks, greatest(r.expected - r.checks, 0) AS absent,
       r.up, r.degraded, r.critical, r.down, r.unknown, r.attempts,
       r.up_ms, r.degraded_ms, r.critical_ms, r.down_ms, r.maintenance_ms, r.unknown_ms,
       r.no_leader_ms, r.missing_ms, r.not_scheduled_ms,
       uptime_share(r.up_ms::bigint + r.degraded_ms + r.critical_ms,
                    r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms) AS uptime,
       uptime_share(r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms,
                    r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms + r.unknown_ms
                    + r.no_leader_ms + r.missing_ms) AS coverage,
       r.total_sum_ms / nullif(latency_count(r.total_hist), 0) AS mean_ms,
       r.total_max_ms AS max_ms
FROM heartbeats_1h r
LEFT JOIN api_monitors m ON m.id = r.monitor_id
LEFT JOIN datacenters d ON d.id = r.datacenter_id;
COMMENT ON VIEW monitor_hours IS
    'each monitor in each datacenter in an hour: what was due, what came of it, and where the time went';
COMMENT ON COLUMN monitor_hours.hour IS 'when it begins, UTC';
COMMENT ON COLUMN monitor_hours.monitor_id IS 'the monitor';
COMMENT ON COLUMN monitor_hours.monitor IS 'its name; NULL: it is gone';
COMMENT ON COLUMN monitor_hours.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN monitor_hours.datacenter IS 'its code';
COMMENT ON COLUMN monitor_hours.expected IS 'slots by duty';
COMMENT ON COLUMN monitor_hours.checks IS 'heartbeats stored of them';
COMMENT ON COLUMN monitor_hours.absent IS 'slots without a heartbeat';
COMMENT ON COLUMN monitor_hours.up IS 'heartbeats that were up';
COMMENT ON COLUMN monitor_hours.degraded IS 'heartbeats that were degraded';
COMMENT ON COLUMN monitor_hours.critical IS 'heartbeats that were critical';
COMMENT ON COLUMN monitor_hours.down IS 'heartbeats that were down';
COMMENT ON COLUMN monitor_hours.unknown IS 'heartbeats that were unknown: a fault of our own';
COMMENT ON COLUMN monitor_hours.attempts IS 'tries of all heartbeats';
COMMENT ON COLUMN monitor_hours.up_ms IS 'ms covered by up';
COMMENT ON COLUMN monitor_hours.degraded_ms IS 'ms covered by degraded';
COMMENT ON COLUMN monitor_hours.critical_ms IS 'ms covered by critical';
COMMENT ON COLUMN monitor_hours.down_ms IS 'ms covered by down';
COMMENT ON COLUMN monitor_hours.maintenance_ms IS 'ms in maintenance windows';
COMMENT ON COLUMN monitor_hours.unknown_ms IS 'ms covered by unknown';
COMMENT ON COLUMN monitor_hours.no_leader_ms IS 'ms without a heartbeat while nobody led';
COMMENT ON COLUMN monitor_hours.missing_ms IS 'ms without a heartbeat and without a known cause';
COMMENT ON COLUMN monitor_hours.not_scheduled_ms IS 'ms in which nothing was due';
COMMENT ON COLUMN monitor_hours.uptime IS
    'share of the time with a verdict in which the target was not down, rounded down; NULL: no verdict';
COMMENT ON COLUMN monitor_hours.coverage IS
    'share of the time in which checks were due for which there is a verdict, rounded down';
COMMENT ON COLUMN monitor_hours.mean_ms IS 'mean total of successful checks, in ms';
COMMENT ON COLUMN monitor_hours.max_ms IS 'greatest total of successful checks, in ms';

CREATE OR REPLACE VIEW monitor_days AS
SELECT r.bucket AS day, r.monitor_id, m.name AS monitor, r.datacenter_id, d.code AS datacenter,
       r.expected, r.checks, greatest(r.expected - r.checks, 0) AS absent,
       r.up, r.degraded, r.critical, r.down, r.unknown, r.attempts,
       r.up_ms, r.degraded_ms, r.critical_ms, r.down_ms, r.maintenance_ms, r.unknown_ms,
       r.no_leader_ms, r.missing_ms, r.not_scheduled_ms,
       uptime_share(r.up_ms::bigint + r.degraded_ms + r.critical_ms,
                    r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms) AS uptime,
       uptime_share(r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms,
                    r.up_ms::bigint + r.degraded_ms + r.critical_ms + r.down_ms + r.unknown_ms
                    + r.no_leader_ms + r.missing_ms) AS coverage,
       r.total_sum_ms / nullif(latency_count(r.total_hist), 0) AS mean_ms,
       r.total_max_ms AS max_ms
FROM heartbeats_1d r
LEFT JOIN api_monitors m ON m.id = r.monitor_id
LEFT JOIN datacenters d ON d.id = r.datacenter_id;
COMMENT ON VIEW monitor_days IS
    'each monitor in each datacenter in a day, UTC: what was due, what came of it, and where the time went';
COMMENT ON COLUMN monitor_days.day IS 'when it begins, UTC';
COMMENT ON COLUMN monitor_days.monitor_id IS 'the monitor';
COMMENT ON COLUMN monitor_days.monitor IS 'its name; NULL: it is gone';
COMMENT ON COLUMN monitor_days.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN monitor_days.datacenter IS 'its code';
COMMENT ON COLUMN monitor_days.expected IS 'slots by duty';
COMMENT ON COLUMN monitor_days.checks IS 'heartbeats stored of them';
COMMENT ON COLUMN monitor_days.absent IS 'slots without a heartbeat';
COMMENT ON COLUMN monitor_days.up IS 'heartbeats that were up';
COMMENT ON COLUMN monitor_days.degraded IS 'heartbeats that were degraded';
COMMENT ON COLUMN monitor_days.critical IS 'heartbeats that were critical';
COMMENT ON COLUMN monitor_days.down IS 'heartbeats that were down';
COMMENT ON COLUMN monitor_days.unknown IS 'heartbeats that were unknown: a fault of our own';
COMMENT ON COLUMN monitor_days.attempts IS 'tries of all heartbeats';
COMMENT ON COLUMN monitor_days.up_ms IS 'ms covered by up';
COMMENT ON COLUMN monitor_days.degraded_ms IS 'ms covered by degraded';
COMMENT ON COLUMN monitor_days.critical_ms IS 'ms covered by critical';
COMMENT ON COLUMN monitor_days.down_ms IS 'ms covered by down';
COMMENT ON COLUMN monitor_days.maintenance_ms IS 'ms in maintenance windows';
COMMENT ON COLUMN monitor_days.unknown_ms IS 'ms covered by unknown';
COMMENT ON COLUMN monitor_days.no_leader_ms IS 'ms without a heartbeat while nobody led';
COMMENT ON COLUMN monitor_days.missing_ms IS 'ms without a heartbeat and without a known cause';
COMMENT ON COLUMN monitor_days.not_scheduled_ms IS 'ms in which nothing was due';
COMMENT ON COLUMN monitor_days.uptime IS
    'share of the time with a verdict in which the target was not down, rounded down; NULL: no verdict';
COMMENT ON COLUMN monitor_days.coverage IS
    'share of the time in which checks were due for which there is a verdict, rounded down';
COMMENT ON COLUMN monitor_days.mean_ms IS 'mean total of successful checks, in ms';
COMMENT ON COLUMN monitor_days.max_ms IS 'greatest total of successful checks, in ms';
