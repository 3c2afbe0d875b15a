"""The roles of the database: which an installation has, and the SQL that makes them.

Roles belong to the whole server, so their names have a prefix, and each carries in its comment
which database it is for. What they may do is in `migrations/definitions/access.sql`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import class_row

from uptimeo.domain.errors import FatalError
from uptimeo.storage import role_maker
from uptimeo.storage.database import Connection, one, startup_errors
from uptimeo.storage.definitions import granting

DEFAULT_PREFIX = "uptimeo"
# By kind, what follows the prefix.
_GROUPS = {"agents": "agent", "config": "config", "readonly": "readonly", "receivers": "receiver"}
# Four in the pool of an agent, one each for its lease, its notices, and what begins or is being
# replaced; three agents stand ready in a datacenter, and a fourth may come before one goes.
_CONNECTIONS = 32
_PREFIX = "SELECT left(role_name, -length('_agent')) FROM database_roles WHERE kind = 'agents'"
_WHERE = "SELECT current_database() AS name, current_schema() AS schema"
_DATACENTERS = "SELECT id, code FROM datacenters ORDER BY id"
_FOUND = """
SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ANY(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One that is to be there; `datacenter` is None for a group without a login."""

    name: str
    kind: str
    datacenter: int | None
    exists: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """The database and the schema that the roles are for."""

    name: str
    schema: str

    @property
    def mark(self) -> str:
        return f"UptimeO, database {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """What is to be there, and what brings it about, in order; without passwords."""

    roles: Sequence[Role]
    statements: Sequence[str]

    @property
    def logins(self) -> list[str]:
        """The names of the roles that agents log in with."""
        return [role.name for role in self.roles if role.datacenter is not None]


async def plan(connection: Connection, prefix: str | None) -> RolePlan:
    """What is to be done so that each datacenter has its role, and all have their rights.

    `prefix` None is the one in use, else `uptimeo`. Changes nothing. Raises FatalError where the
    connection lacks a right, or a role of such a name belongs to something else.
    """
    with startup_errors():
        place = await _place(connection)
        await role_maker.refuse_unfit(connection, place.name, place.schema)
        wanted = _named(
            await _prefix(connection, prefix),
            await (await connection.execute(_DATACENTERS)).fetchall(),
        )
        roles = await _found(connection, wanted, place.mark)
        await role_maker.refuse_those_of_others(connection, [role.name for role in wanted])
    texts = [statement.as_string(connection) for statement in _statements(roles, place)]
    return RolePlan(roles=roles, statements=texts)


async def carry_out(
    connection: Connection, planned: RolePlan, passwords: Mapping[str, str]
) -> None:
    """Make the roles and give the rights, all or nothing; `passwords` by name of a role.

    The server gets a verifier (SCRAM-SHA-256), never a password. Raises FatalError if it refuses.
    """
    with startup_errors():
        async with connection.transaction():
            for statement in planned.statements:
                await connection.execute(statement.encode())
            for name, password in passwords.items():
                await connection.execute(_password(connection, name, password))


async def _place(connection: Connection) -> _Place:
    cursor = connection.cursor(row_factory=class_row(_Place))
    found = await (await cursor.execute(_WHERE)).fetchone()
    assert found is not None
    return found


async def _prefix(connection: Connection, asked: str | None) -> str:
    in_use: str | None = await one(connection, _PREFIX)
    if asked is not None and in_use is not None and asked != in_use:
        raise FatalError(f"the roles of this database begin with {in_use!r}, not with {asked!r}")
    prefix = asked or in_use or DEFAULT_PREFIX
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,29}", prefix):
        raise FatalError(f"the prefix {prefix!r} is not 1 to 30 of a-z, 0-9 and _, a letter first")
    return prefix


def _named(prefix: str, datacenters: Sequence[tuple[int, str]]) -> list[Role]:
    groups = [
        Role(name=f"{prefix}_{suffix}", kind=kind, datacenter=None)
        for kind, suffix in _GROUPS.items()
    ]
    agents = [
        Role(name=f"{prefix}_agent_{code.lower()}", kind="agent", datacenter=key)
        for key, code in datacenters
    ]
    names = [role.name for role in agents]
    if twice := {name for name in names if names.count(name) > 1}:
        raise FatalError(f"two datacenters would share the role {min(twice)}: their codes differ")
    return [*groups, *agents]


async def _found(connection: Connection, wanted: Sequence[Role], mark: str) -> list[Role]:
    names = [role.name for role in wanted]
    marks: dict[str, str | None] = dict(
        await (await connection.execute(_FOUND, (names,))).fetchall()
    )
    for name, theirs in marks.items():
        if theirs != mark:
            raise FatalError(
                f"the role {name} exists and is not of this database"
                f" ({theirs or 'it has no comment'}): choose other names with --prefix, or if it is"
                f" yours: COMMENT ON ROLE {name} IS '{mark}'"
            )
    return [
        Role(name=r.name, kind=r.kind, datacenter=r.datacenter, exists=r.name in marks)
        for r in wanted
    ]


def _statements(roles: Sequence[Role], place: _Place) -> list[sql.Composed]:
    groups = {role.kind: role.name for role in roles if role.datacenter is None}
    made = [statement for role in roles for statement in _making(role, place)]
    joined = [
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(member))
        for group, member in _members(roles, groups)
    ]
    everybody = sql.SQL(", ").join(map(sql.Identifier, groups.values()))
    schema = sql.Identifier(place.schema)
    return [
        *made,
        *joined,
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(place.name), everybody),
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, everybody),
        sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(schema),
        *_listed(roles),
        granting(groups),
    ]


def _making(role: Role, place: _Place) -> list[sql.Composed]:
    name, verb = sql.Identifier(role.name), sql.SQL("ALTER" if role.exists else "CREATE")
    login = (
        sql.SQL("NOLOGIN")
        if role.datacenter is None
        else sql.SQL("LOGIN CONNECTION LIMIT {}").format(sql.Literal(_CONNECTIONS))
    )
    found = [
        sql.SQL("{} ROLE {} {}").format(verb, name, login),
        sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(place.mark)),
    ]
    if role.datacenter is not None:
        path = sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}")
        found.append(path.format(name, sql.Identifier(place.name), sql.Identifier(place.schema)))
    return found


def _members(roles: Sequence[Role], groups: Mapping[str, str]) -> list[tuple[str, str]]:
    agents = [(groups["agents"], role.name) for role in roles if role.datacenter is not None]
    return [(groups["readonly"], groups["config"]), *agents]


def _listed(roles: Sequence[Role]) -> list[sql.Composed]:
    rows = sql.SQL(", ").join(
        sql.SQL("({}, {}, {})").format(*map(sql.Literal, (r.name, r.kind, r.datacenter)))
        for r in roles
    )
    return [
        sql.SQL("DELETE FROM database_roles WHERE role_name <> ALL ({})").format(
            sql.Literal([role.name for role in roles])
        ),
        sql.SQL(
            "INSERT INTO database_roles (role_name, kind, datacenter_id) VALUES {}"
            " ON CONFLICT (role_name) DO UPDATE"
            " SET kind = excluded.kind, datacenter_id = excluded.datacenter_id"
        ).format(rows),
    ]


def _password(connection: Connection, name: str, password: str) -> sql.Composed:
    verifier = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    )
    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(
        sql.Identifier(name), sql.Literal(verifier.decode())
    )
