-- The tables that are cut by time, and how.

CREATE TABLE partition_plans (
    parent     name PRIMARY KEY,
    days       int NOT NULL CHECK (days BETWEEN 1 AND 366),
    days_ahead int NOT NULL CHECK (days_ahead >= 1),
    keep_days  int CHECK (keep_days >= 1)
);
COMMENT ON TABLE partition_plans IS 'the tables that are cut by time, in UTC';
COMMENT ON COLUMN partition_plans.parent IS
    'its partitions are named after it and their first day: api_heartbeats_20260131';
COMMENT ON COLUMN partition_plans.days IS
    'days in a partition; each begins a whole number of them after Monday, 2000-01-03';
COMMENT ON COLUMN partition_plans.days_ahead IS 'for how many days ahead there are partitions';
COMMENT ON COLUMN partition_plans.keep_days IS
    'a partition is dropped when its last row is that old; NULL: never';

INSERT INTO partition_plans VALUES ('api_heartbeats', 1, 7, 30);

DROP FUNCTION IF EXISTS heartbeat_partitions_ensure(int);
