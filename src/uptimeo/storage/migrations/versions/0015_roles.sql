-- Who may do what in this database, once `uptimeo db roles` has made the roles.

CREATE TABLE database_roles (
    role_name     name PRIMARY KEY,
    kind          text NOT NULL
        CHECK (kind IN ('agents', 'agent', 'config', 'readonly', 'receivers')),
    datacenter_id int REFERENCES datacenters ON DELETE CASCADE,
    CHECK ((kind = 'agent') = (datacenter_id IS NOT NULL))
);
CREATE UNIQUE INDEX ON database_roles (kind) WHERE kind <> 'agent';
COMMENT ON TABLE database_roles IS
    'the roles of this installation; rights are given to them by `uptimeo db roles` and `migrate`';
COMMENT ON COLUMN database_roles.role_name IS 'roles are of the whole server: the name has a prefix';
COMMENT ON COLUMN database_roles.kind IS
    'agent: a login of one datacenter; the others are groups, to be granted to logins';
COMMENT ON COLUMN database_roles.datacenter_id IS 'for which an agent with this login may act';
