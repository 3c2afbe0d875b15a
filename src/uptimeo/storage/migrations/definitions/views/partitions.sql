CREATE OR REPLACE VIEW partition_state AS
SELECT p.parent, count(b.partition)::int AS partitions,
       (min(b.lo) AT TIME ZONE 'UTC')::date AS first_day,
       ((max(b.hi) AT TIME ZONE 'UTC') - interval '1 microsecond')::date AS last_day,
       partition_days_ahead(p.parent) AS days_ahead, p.keep_days,
       coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS rows_estimate,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes,
       (SELECT since FROM retention_held()) AS held_since
FROM partition_plans p
LEFT JOIN LATERAL partition_bounds(p.parent) b ON true
LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(b.partition))
GROUP BY p.parent;
COMMENT ON VIEW partition_state IS 'the tables that are cut by time, each with all its partitions';
COMMENT ON COLUMN partition_state.parent IS 'the table';
COMMENT ON COLUMN partition_state.partitions IS 'how many it has';
COMMENT ON COLUMN partition_state.keep_days IS
    'a partition is dropped when its last row is that old; NULL: never';
COMMENT ON COLUMN partition_state.first_day IS 'UTC; of the oldest that has a beginning';
COMMENT ON COLUMN partition_state.last_day IS 'UTC; the last day of the newest that has an end';
COMMENT ON COLUMN partition_state.days_ahead IS
    'whole UTC days after today that have partitions, up to the first gap; -1: not even today';
COMMENT ON COLUMN partition_state.rows_estimate IS 'as of the last vacuum or analyze';
COMMENT ON COLUMN partition_state.bytes IS 'with indexes';
COMMENT ON COLUMN partition_state.held_since IS
    'since when nothing is dropped, as the clock is not believed; NULL: it is';
