-- What was seen of targets beside their times, and the failures found by an index.

CREATE TABLE monitor_facts (
    monitor_id    int NOT NULL,
    datacenter_id int NOT NULL,
    fact          text NOT NULL CHECK (fact IN ('address', 'certificate', 'http_version', 'server')),
    value         text NOT NULL,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    about         jsonb,
    CHECK (first_seen <= last_seen),
    PRIMARY KEY (monitor_id, datacenter_id, fact, value, first_seen)
) WITH (fillfactor = 70);
CREATE INDEX ON monitor_facts (first_seen);
COMMENT ON TABLE monitor_facts IS
    'which values of a fact were seen, from when to when: the newest 200 of each fact of a monitor in a datacenter';
COMMENT ON COLUMN monitor_facts.monitor_id IS 'the monitor, also one that is gone';
COMMENT ON COLUMN monitor_facts.datacenter_id IS 'where it was seen';
COMMENT ON COLUMN monitor_facts.fact IS
    'address (connected to), certificate (its fingerprint), http_version, server (the header)';
COMMENT ON COLUMN monitor_facts.value IS 'what was seen';
COMMENT ON COLUMN monitor_facts.first_seen IS 'the slot of the first check that saw it';
COMMENT ON COLUMN monitor_facts.last_seen IS
    'the slot of a check that saw it, the last or one up to an hour earlier; of a certificate the last that stored it: it is stored when it changes';
COMMENT ON COLUMN monitor_facts.about IS
    'of a certificate: subject, issuer, leaf_expires, chain_expires; else NULL';

-- No healthy heartbeat is in it.
CREATE INDEX api_heartbeats_failed ON api_heartbeats (scheduled_at)
    WHERE status IN ('down', 'unknown');
