-- What was set aside. The text that PostgreSQL gives when it refuses a row may quote the row, and
-- is not shown; nor is the row.
CREATE OR REPLACE VIEW set_aside_heartbeats AS
SELECT date_trunc('day', a.received_at, 'UTC') AS day, a.datacenter_id, d.code AS datacenter,
       a.kind, count(*) AS rows, min(a.received_at) AS first_received,
       max(a.received_at) AS last_received,
       (array_agg(a.row ->> 'monitor_id' ORDER BY a.id DESC))[1] AS last_monitor,
       (array_agg(a.row ->> 'datacenter_id' ORDER BY a.id DESC))[1] AS last_datacenter,
       (array_agg(a.row ->> 'term' ORDER BY a.id DESC))[1] AS last_term,
       (array_agg(a.row ->> 'executed_at' ORDER BY a.id DESC))[1] AS last_executed_at
FROM (
    SELECT id, received_at, datacenter_id,
           CASE WHEN reason IN ('wrong datacenter', 'no partition for its day', 'unknown term',
                                'executed before its term', 'executed after its term')
                THEN reason
                WHEN reason LIKE 'damaged on disk%' THEN 'damaged on disk'
                ELSE 'refused by PostgreSQL' END AS kind,
           CASE WHEN payload IS JSON OBJECT THEN payload::json END AS row
    FROM api_heartbeats_set_aside) a
LEFT JOIN datacenters d ON d.id = a.datacenter_id
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW set_aside_heartbeats IS
    'rows that could not be stored as heartbeats: how many of each kind in each datacenter and UTC day, and what the last said';
COMMENT ON COLUMN set_aside_heartbeats.day IS 'the UTC day on which they came';
COMMENT ON COLUMN set_aside_heartbeats.datacenter_id IS 'whose agent sent them';
COMMENT ON COLUMN set_aside_heartbeats.datacenter IS 'its code';
COMMENT ON COLUMN set_aside_heartbeats.kind IS
    'wrong datacenter, no partition for its day, unknown term, executed before its term, executed after its term, damaged on disk, refused by PostgreSQL';
COMMENT ON COLUMN set_aside_heartbeats.rows IS 'how many';
COMMENT ON COLUMN set_aside_heartbeats.first_received IS 'when the first came';
COMMENT ON COLUMN set_aside_heartbeats.last_received IS 'when the last came';
COMMENT ON COLUMN set_aside_heartbeats.last_monitor IS 'the monitor_id of the last, as it says';
COMMENT ON COLUMN set_aside_heartbeats.last_datacenter IS 'the datacenter_id of the last, as it says';
COMMENT ON COLUMN set_aside_heartbeats.last_term IS 'the term of the last, as it says';
COMMENT ON COLUMN set_aside_heartbeats.last_executed_at IS 'when the last ran, as it says';

CREATE OR REPLACE VIEW unusual_heartbeats AS
SELECT day, datacenter_id, datacenter::varchar(10) AS datacenter, kind, rows, first_at, last_at
FROM unusual_heartbeats_since('-infinity');
COMMENT ON VIEW unusual_heartbeats IS
    'heartbeats that an agent in order does not make, by kind, datacenter and UTC day: those set aside, and of the last 30 days those that were stored though nothing was due';
COMMENT ON COLUMN unusual_heartbeats.day IS 'the UTC day';
COMMENT ON COLUMN unusual_heartbeats.datacenter_id IS 'the datacenter that sent them';
COMMENT ON COLUMN unusual_heartbeats.datacenter IS 'its code; NULL: there is none with this id';
COMMENT ON COLUMN unusual_heartbeats.kind IS
    'set aside and why; not due there and then; more than were due; datacenter that is not there';
COMMENT ON COLUMN unusual_heartbeats.rows IS 'how many';
COMMENT ON COLUMN unusual_heartbeats.first_at IS 'when the first came; of stored ones the hour';
COMMENT ON COLUMN unusual_heartbeats.last_at IS 'when the last came; of stored ones the hour';
