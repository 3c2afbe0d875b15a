"""What every test may ask for."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import postgres
from uptimeo.storage.database import Connection, Pool, connect, make_pool
from uptimeo.storage.partitions import ensure
from uptimeo.storage.places import add_sample_datacenters


@pytest.fixture(scope="session")
def maintenance() -> Iterator[str]:
    with postgres.server() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def template(maintenance: str) -> Iterator[str]:
    with postgres.template(maintenance) as name:
        yield name


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
async def conninfo(migrated: str) -> str:
    """A database with the schema, the nine datacenters and the partitions of these days."""
    async with await connect(migrated) as connection:
        await add_sample_datacenters(connection)
        for parent in ("api_heartbeats", "heartbeat_evidence"):
            await ensure(connection, parent)
    return migrated


@pytest.fixture
async def connection(conninfo: str) -> AsyncIterator[Connection]:
    async with await connect(conninfo) as opened:
        yield opened


@pytest.fixture
async def pool(conninfo: str) -> AsyncIterator[Pool]:
    async with make_pool(conninfo, size=4) as opened:
        yield opened
