"""Does the wheel work where there is nothing but it and its dependencies?"""

import asyncio
import json
from pathlib import Path

import pytest

from tests.release.project import VERSION
from tests.support.servers import answering, response, serve
from uptimeo.storage import definitions
from uptimeo.storage.database import connect, one
from uptimeo.storage.schema import HEAD

pytestmark = pytest.mark.xdist_group("release")

PATIENCE_S = 120


async def said(program: Path, *arguments: str, **environment: str) -> str:
    """What a program printed that has to succeed; it sees none of our variables."""
    process = await asyncio.create_subprocess_exec(
        *(str(program), *arguments),
        cwd="/",
        env={"PATH": "/usr/bin:/bin", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_S):
        text, _ = await process.communicate()
    assert process.returncode == 0, text.decode()
    return text.decode()


async def test_it_is_imported_from_the_wheel_and_not_from_the_source(installed: Path) -> None:
    place = await said(installed / "python", "-c", "import uptimeo; print(uptimeo.__file__)")

    assert Path(place.strip()).is_relative_to(installed.parent)


async def test_it_tells_its_version(installed: Path) -> None:
    assert await said(installed / "uptimeo", "--version") == f"uptimeo {VERSION}\n"


async def test_it_finds_its_probe_types(installed: Path) -> None:
    listed = json.loads(await said(installed / "uptimeo", "probe-types", "--json"))

    assert {"http", "ping", "postgresql", "wss"} <= {each["type"] for each in listed}
    assert {each["package"] for each in listed} == {f"uptimeo {VERSION}"}


async def test_it_checks_a_server(installed: Path) -> None:
    async with serve(answering(response("200 OK", body=b"hello"))) as target:
        found = json.loads(await said(installed / "uptimeo", "check", target.url("/"), "--json"))

    assert found["status"] == "up"


async def test_it_makes_the_schema_of_this_source(installed: Path, empty_database: str) -> None:
    await said(installed / "uptimeo", "migrate", DB_CONN_STRING=empty_database)

    async with await connect(empty_database) as connection:
        applied = await definitions.are_applied(connection)
        revision = await one(connection, "SELECT version_num FROM alembic_version")
    assert (applied, revision) == (True, HEAD)
