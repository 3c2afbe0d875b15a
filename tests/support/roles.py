"""The roles of a test's own database: made as an operator makes them, dropped afterwards."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from uptimeo.storage import roles
from uptimeo.storage.database import Connection, connect

PERSON = {"config": "writer", "readonly": "reader", "receivers": "postman"}


@asynccontextmanager
async def made(conninfo: str) -> AsyncIterator[Mapping[str, str]]:
    """Connection strings by what one logs in as.

    Agents are called by their datacenter (`va`), the groups have one login each (`writer` of the
    configuration, `reader`, `postman`); `nobody` has no rights at all.
    """
    prefix = f"t{conninfo_to_dict(conninfo)['dbname']}"[-24:].lstrip("_0123456789")
    people = {name: f"{prefix}_{name}" for name in [*PERSON.values(), "nobody"]}
    async with await connect(conninfo) as owner:
        planned = await roles.plan(owner, prefix)
        await roles.carry_out(owner, planned, {})
        groups = {role.kind: role.name for role in planned.roles if role.datacenter is None}
        await _add_people(owner, people, groups)
    agents = {name.rpartition("_")[2]: name for name in planned.logins}
    try:
        yield {who: make_conninfo(conninfo, user=name) for who, name in (agents | people).items()}
    finally:
        # On a connection of its own: a test may have cut all others.
        async with await connect(conninfo) as owner:
            await _drop(owner, [*people.values(), *(role.name for role in planned.roles)])


async def _add_people(
    owner: Connection, people: Mapping[str, str], groups: Mapping[str, str]
) -> None:
    for name in people.values():
        await owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    for kind, person in PERSON.items():
        grant = sql.SQL("GRANT {} TO {}")
        both = sql.Identifier(groups[kind]), sql.Identifier(people[person])
        await owner.execute(grant.format(*both))


async def _drop(owner: Connection, names: list[str]) -> None:
    for name in names:
        role = sql.Identifier(name)
        await owner.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        await owner.execute(sql.SQL("DROP ROLE {}").format(role))
