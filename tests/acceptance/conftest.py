"""A migrated database, a target, and the environment of an agent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.servers import Address, answering, response, serve


@pytest.fixture
def environment(conninfo: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DB_CONN_STRING": conninfo,
        "DATACENTER_ID": "1",
        "UPTIMEO_DATA_DIR": str(tmp_path / "agent"),
        "UPTIMEO_INSTANCE": "agent-a",
        "UPTIMEO_CONFIG_POLL_S": "0.3",
    }


@pytest.fixture
async def target() -> AsyncIterator[Address]:
    """A server that answers every request with 200."""
    async with serve(answering(response("200 OK", body=b"hello"))) as address:
        yield address
