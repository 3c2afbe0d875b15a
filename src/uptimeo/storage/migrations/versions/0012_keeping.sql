-- The lease of datacenter 0 says who maintains the whole installation. It is no datacenter.
ALTER TABLE agent_leases DROP CONSTRAINT agent_leases_datacenter_id_fkey;
ALTER TABLE agent_terms DROP CONSTRAINT agent_terms_datacenter_id_fkey;
COMMENT ON COLUMN agent_leases.datacenter_id IS
    'whose checks the holder runs; 0: it maintains the whole installation';
COMMENT ON COLUMN agent_terms.datacenter_id IS
    'whose checks the holder ran; 0: it maintained the whole installation';

-- A wrong number must not throw away what cannot be had again.
ALTER TABLE partition_plans
    ADD COLUMN keep_at_least int NOT NULL DEFAULT 2 CHECK (keep_at_least >= 1),
    ADD COLUMN outlives name REFERENCES partition_plans (parent),
    ADD CONSTRAINT partition_plans_keep_at_least CHECK (keep_days >= keep_at_least);
COMMENT ON COLUMN partition_plans.keep_at_least IS
    'the least that keep_days may be; 2 for heartbeats: a new leader looks back 25 hours for slots'
    ' that were done, live tables two days';
COMMENT ON COLUMN partition_plans.outlives IS
    'its rows are kept at least as long as those of this table: what sums up outlives its source';

UPDATE partition_plans p SET outlives = o.finer
FROM (VALUES ('api_heartbeats', 'heartbeat_evidence'), ('heartbeats_5m', 'api_heartbeats'),
             ('heartbeats_1h', 'heartbeats_5m')) AS o (parent, finer)
WHERE p.parent = o.parent AND EXISTS (SELECT FROM partition_plans f WHERE f.parent = o.finer);

CREATE INDEX api_heartbeats_set_aside_received_at ON api_heartbeats_set_aside (received_at);
COMMENT ON TABLE api_heartbeats_set_aside IS
    'rows that cannot be heartbeats, with the reason; kept for 90 days';

DROP FUNCTION IF EXISTS partitions_ensure(name);
