-- Agents of one datacenter tell each other whether the database answers them.

ALTER TABLE agent_instances
    ADD COLUMN peer_address text,
    ADD COLUMN peers_heard int NOT NULL DEFAULT 0;
COMMENT ON COLUMN agent_instances.peer_address IS
    'host:port (UDP) at which the other agents of its datacenter reach it; NULL: not at all';
COMMENT ON COLUMN agent_instances.peers_heard IS
    'how many other agents of its datacenter have answered it in the last ten seconds';

-- What they say carries a signature with this key. A row that is deleted is made anew: the agents
-- take up the new key within ten seconds.
CREATE TABLE peer_keys (
    datacenter_id int PRIMARY KEY REFERENCES datacenters ON DELETE CASCADE,
    key           bytea NOT NULL
        DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        CHECK (length(key) >= 32),
    made_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON peer_keys FROM PUBLIC;
