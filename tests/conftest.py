"""What every test may ask for."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support import postgres, roles
from uptimeo.storage.database import Connection, Pool, connect, make_pool
from uptimeo.storage.places import add_sample_datacenters


@pytest.fixture(scope="session")
def maintenance() -> Iterator[str]:
    with postgres.server() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def template(maintenance: str) -> Iterator[str]:
    with postgres.template(maintenance) as name:
        yield name


@pytest.fixture(scope="session")
def furnished(maintenance: str, template: str) -> Iterator[str]:
    """The name of a database to be copied: with nine datacenters and the partitions ahead."""
    with postgres.database(maintenance, template) as conninfo:
        asyncio.run(_furnish(conninfo))
        yield str(conninfo_to_dict(conninfo)["dbname"])


async def _furnish(conninfo: str) -> None:
    async with await connect(conninfo) as connection:
        await add_sample_datacenters(connection)
        await connection.execute("SELECT partitions_ensure(parent) FROM partition_plans")


@pytest.fixture
def empty_database(maintenance: str) -> Iterator[str]:
    with postgres.database(maintenance, None) as conninfo:
        yield conninfo


@pytest.fixture
def migrated(maintenance: str, template: str) -> Iterator[str]:
    """A database with the schema and nothing in it."""
    with postgres.database(maintenance, template) as conninfo:
        yield conninfo


@pytest.fixture
def conninfo(maintenance: str, furnished: str) -> Iterator[str]:
    """A database with the schema, the nine datacenters and the partitions of these days."""
    with postgres.database(maintenance, furnished) as conninfo:
        yield conninfo


@pytest.fixture
async def connection(conninfo: str) -> AsyncIterator[Connection]:
    async with await connect(conninfo) as opened:
        yield opened


@pytest.fixture
async def pool(conninfo: str) -> AsyncIterator[Pool]:
    async with make_pool(conninfo, size=4) as opened:
        yield opened


@pytest.fixture
async def logins(conninfo: str) -> AsyncIterator[Mapping[str, str]]:
    """Connection strings by who logs in; see `tests.support.roles`."""
    async with roles.made(conninfo) as found:
        yield found
