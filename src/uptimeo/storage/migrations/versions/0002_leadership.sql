-- Who led when, who stands by, and whether two were ever active: each one query.

ALTER TABLE agent_terms ADD COLUMN released_at timestamptz;
COMMENT ON COLUMN agent_terms.released_at IS
    'when the leader gave the term back; NULL if it died, or still leads';

-- Every process that runs an agent, leader or not; it reports every ten seconds.
CREATE TABLE agent_instances (
    agent_id      int PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
    version       text NOT NULL,
    host          text NOT NULL,
    pid           int NOT NULL,
    started_at    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    term          bigint,
    spool_rows    bigint NOT NULL,
    spool_bytes   bigint NOT NULL,
    dropped       bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN agent_instances.term IS 'the term it leads, NULL for a standby';
COMMENT ON COLUMN agent_instances.dropped IS
    'heartbeats since its start that were dropped for want of space or lost to damage';
