"""A migrated database, a target, and the environment of an agent."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.postgres import local_server
from tests.support.servers import Address, answering, response, serve
from uptimeo.storage import schema
from uptimeo.storage.local import LocalServer


@pytest.fixture
def environment(logins: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """Of an agent that logs in under the role of its datacenter."""
    return {
        "DB_CONN_STRING": logins["va"],
        "DATACENTER_ID": "1",
        "UPTIMEO_DATA_DIR": str(tmp_path / "agent"),
        "UPTIMEO_INSTANCE": "agent-a",
        "UPTIMEO_CONFIG_POLL_S": "0.3",
    }


@pytest.fixture
def as_owner(conninfo: str, environment: dict[str, str]) -> dict[str, str]:
    return environment | {"DB_CONN_STRING": conninfo}


@pytest.fixture
def as_writer(logins: Mapping[str, str], environment: dict[str, str]) -> dict[str, str]:
    """Of a person who may change the configuration."""
    return environment | {"DB_CONN_STRING": logins["writer"]}


@pytest.fixture
def as_reader(logins: Mapping[str, str], environment: dict[str, str]) -> dict[str, str]:
    """Of a person who may look at everything but secrets."""
    return environment | {"DB_CONN_STRING": logins["reader"]}


@pytest.fixture
async def target() -> AsyncIterator[Address]:
    """A server that answers every request with 200."""
    async with serve(answering(response("200 OK", body=b"hello"))) as address:
        yield address


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server of the test's own, running and migrated, that the test may stop and start."""
    directory = Path(tempfile.mkdtemp(prefix="uptimeo-outage-"))
    directory.chmod(0o711)
    local = local_server(directory, ("fsync=off",))
    local.start()
    schema.migrate(local.conninfo)
    yield local
    local.stop()
    shutil.rmtree(directory)
