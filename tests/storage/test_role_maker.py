"""Roles are made by an owner who is no superuser, and a refusal says what would be enough."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.ingesting import ingesting
from uptimeo.domain.errors import FatalError
from uptimeo.storage import health
from uptimeo.storage.database import connect, one
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.storage.roles import carry_out, plan
from uptimeo.storage.schema import migrate

_ROLES = "SELECT rolname FROM pg_roles WHERE rolname ~ ('^' || %s || '_') OR rolname = %s"
_MINE = "ALTER DATABASE {database} OWNER TO {owner}"
_NOT_MINE = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {owner};
GRANT CREATE, USAGE ON SCHEMA public TO {owner}
"""
_WORK = (
    "SELECT partitions_ensure('heartbeats')",
    "SELECT partition_drop_expired('heartbeats')",
    "SELECT history_expire()",
    "SELECT rollup_step(5, 10)",
    "SELECT monitor_duty_reconcile()",
    "SELECT unusual_heartbeats_since(now())",
)


@dataclass(frozen=True, slots=True)
class Place:
    """An empty database, and a role with CREATEROLE that is no superuser."""

    superuser: "psycopg.Connection"
    conninfo: str
    owner: str

    @property
    def as_owner(self) -> str:
        return make_conninfo(self.conninfo, user=self.owner)

    @property
    def as_agent(self) -> str:
        return make_conninfo(self.conninfo, user=f"{self.owner}_agent_va")

    def run(self, statements: str) -> None:
        """As the superuser, with the names of this place in the braces."""
        names = {"database": conninfo_to_dict(self.conninfo)["dbname"], "owner": self.owner}
        told = sql.SQL(statements).format(
            **{key: sql.Identifier(str(name)) for key, name in names.items()}
        )
        self.superuser.execute(told)

    async def migrate(self) -> None:
        migrate(self.as_owner)
        async with await connect(self.as_owner) as connection:
            await add_sample_datacenters(connection)
            await connection.execute("SELECT partitions_ensure(parent) FROM partition_plans")

    async def make_roles(self, conninfo: str | None = None) -> None:
        async with await connect(conninfo or self.as_owner) as connection:
            planned = await plan(connection, self.owner)
            await carry_out(connection, planned, dict.fromkeys(planned.logins, "s3cr3t"))


@pytest.fixture
def place(empty_database: str) -> Iterator[Place]:
    owner = f"t{conninfo_to_dict(empty_database)['dbname']}"[-20:].lstrip("_0123456789") + "_own"
    with psycopg.connect(empty_database, autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE".encode())
        yield Place(superuser, empty_database, owner)
        found = superuser.execute(_ROLES, (owner, owner)).fetchall()
        superuser.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER".encode())
        # Before the owner, who granted them their rights.
        for name in sorted((name for (name,) in found), key=lambda name: name == owner):
            superuser.execute(f"DROP OWNED BY {name} CASCADE".encode())
        for name in sorted((name for (name,) in found), key=lambda name: name == owner):
            superuser.execute(f"DROP ROLE {name}".encode())


async def works(conninfo: str) -> bool:
    """Whether an agent of VA can do its work under that login, and no other's."""
    writer = await ingesting(conninfo)
    await writer.send(5)
    for statement in _WORK:
        await writer.connection.execute(statement.encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not for datacenter 2"):
        await writer.connection.execute("SELECT heartbeats_ingest(2, '[]')")
    await writer.connection.close()
    return (writer.sent, writer.aside) == (5, [])


async def refused(place: Place) -> str:
    """What the refusal says should be run, which is run."""
    with pytest.raises(FatalError) as raised:
        await place.make_roles()
    said = re.search(r"(?:GRANT|REVOKE) .*", str(raised.value))
    assert said, raised.value
    place.superuser.execute(said.group().encode())
    return str(raised.value)


async def test_a_plain_owner_makes_roles_twice_and_their_agents_work(place: Place) -> None:
    place.run(_MINE)
    await place.migrate()

    await place.make_roles()
    await place.make_roles()
    migrate(place.as_owner)

    assert await works(place.as_agent)
    async with await connect(place.as_owner) as connection:
        assert await health.mighty_roles(connection) == []
        assert await one(connection, "SELECT count(*) FROM api_heartbeats") == 5


async def test_an_agent_of_a_plain_owner_gets_no_right_of_the_owner(place: Place) -> None:
    place.run(_MINE)
    await place.migrate()
    await place.make_roles()

    async with await connect(place.as_agent) as agent:
        for statement in (f"SET ROLE {place.owner}", "CREATE ROLE mine", "CREATE TABLE mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await agent.execute(statement.encode())


async def test_roles_that_a_superuser_made_are_named_with_what_is_missing(place: Place) -> None:
    place.run(_MINE)
    await place.migrate()
    await place.make_roles(place.conninfo)

    told = await refused(place)
    await place.make_roles()

    assert "may not change roles that somebody else made" in told
    assert f'"{place.owner}_agent_va"' in told
    assert await works(place.as_agent)


async def test_who_does_not_own_the_database_is_told_each_right_that_is_missing(
    place: Place,
) -> None:
    place.run(_NOT_MINE)
    await place.migrate()

    told = [await refused(place), await refused(place)]
    await place.make_roles()

    assert "may let nobody connect to the database" in told[0]
    assert "may let nobody use the schema" in told[1]
    assert await works(place.as_agent)


async def test_a_schema_in_which_everybody_may_make_functions_is_refused(place: Place) -> None:
    place.run(_NOT_MINE)
    place.run("GRANT CONNECT ON DATABASE {database} TO PUBLIC")
    place.run("GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC")
    await place.migrate()

    told = await refused(place)
    await place.make_roles()

    assert "everybody may make functions in the schema" in told
    assert await works(place.as_agent)


async def test_an_owner_without_createrole_is_told_so(place: Place) -> None:
    place.run(_MINE)
    await place.migrate()
    place.run("ALTER ROLE {owner} NOCREATEROLE")

    with pytest.raises(FatalError, match="may not make roles: run this as a superuser, or as the"):
        await place.make_roles()


async def test_a_member_of_the_owner_with_createrole_is_enough(place: Place) -> None:
    place.run(_MINE)
    await place.migrate()
    person = f"{place.owner}_ann"
    place.run(f"CREATE ROLE {person} LOGIN CREATEROLE; GRANT {{owner}} TO {person}")

    await place.make_roles(make_conninfo(place.conninfo, user=person))

    assert await works(place.as_agent)
