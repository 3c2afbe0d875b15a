-- Who may run the checks of a datacenter: one lease row each, and the history of its terms.

CREATE TABLE agent_leases (
    datacenter_id int PRIMARY KEY REFERENCES datacenters,
    term          bigint NOT NULL DEFAULT 0,
    holder        uuid,
    holder_name   text,
    seq           bigint NOT NULL DEFAULT 0,
    expires_at    timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 20);  -- every renewal finds room on its page: no index is touched

CREATE TABLE agent_terms (
    datacenter_id int NOT NULL REFERENCES datacenters,
    term          bigint NOT NULL,
    holder        uuid NOT NULL,
    holder_name   text,
    started_at    timestamptz NOT NULL,
    PRIMARY KEY (datacenter_id, term)
);
