"""Does a probe type of another package work, and is its trouble its own?"""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.test_agent import add
from tests.support.agents import PATIENCE_S, output, running
from tests.support.servers import Address, refusing
from uptimeo.storage.database import Connection

SAMPLE = Path(__file__).parents[1] / "plugin_sample"
PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
# What pip needs to do without the network, and without touching the environment of the tests.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


async def shell(script: str, where: Path, **environment: str) -> str:
    """What a script printed, which has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", script),
        cwd=where,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_S * 2):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def install(package: Path, site: Path, tmp_path: Path) -> None:
    """Build a wheel of a package with flit and install it into a directory of its own."""
    build = "import sys; from flit_core import buildapi; buildapi.build_wheel(sys.argv[1])"
    await shell(f"python -c '{build}' {tmp_path / 'wheels'}", package)
    target = {"PIP_TARGET": str(site)} | OFFLINE
    await shell(f"python -m pip install --quiet {tmp_path / 'wheels'}/*.whl", package, **target)


@asynccontextmanager
async def serving(command: str, where: Path, port: int) -> AsyncIterator[None]:
    """A program that listens on that port, until the end."""
    process = await asyncio.create_subprocess_exec(sys.executable, command, cwd=where)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield
    finally:
        process.kill()
        await process.wait()


async def test_the_trouble_of_a_foreign_probe_touches_only_its_own_heartbeats(
    environment: dict[str, str],
    connection: Connection,
    target: Address,
    site: Path,
    tmp_path: Path,
) -> None:
    package = Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
    (tmp_path / "wheels").mkdir()
    await install(package, site, tmp_path)
    names = ["ok", "crash", "hang"]
    for name in names:
        await add(connection, name, f"sample://{name}", type="SAMPLE", timeout_ms=400)
    await add(connection, "http", target.url("/"))

    async with running("agent", PYTHONPATH=str(site), **environment) as agent:
        for name in (*names, "http"):
            for _ in range(2):
                await agent.event("heartbeat_inserted", monitor_name=name)
        await asyncio.sleep(3)

    query = """
        SELECT m.name, h.status, h.error_type, h.details->'phases' ? 'step_ms'
        FROM api_heartbeats h JOIN api_monitors m ON m.id = h.monitor_id GROUP BY 1, 2, 3, 4
    """
    found = await (await connection.execute(query)).fetchall()
    assert sorted(found) == [
        ("crash", "unknown", "internal_error", None),
        ("hang", "unknown", "probe_stuck", None),
        ("http", "up", None, None),
        ("ok", "up", None, True),
    ]


async def test_the_page_about_plugins_works_as_written(
    environment: dict[str, str],
    as_writer: dict[str, str],
    connection: Connection,
    site: Path,
    tmp_path: Path,
) -> None:
    with refusing() as free:
        port = free.port
    text = PAGE.read_text("utf-8").replace("2525", str(port))
    place = tmp_path / "empty"
    place.mkdir()
    for name, body in re.findall(r"`([\w.]+\.(?:toml|py))`[^`]*```\w+\n(.*?)```", text, re.DOTALL):
        (place / name).write_text(body)
    setup, trial, watch = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    variables = environment | {"PYTHONPATH": str(site), "UPTIMEO_FORBIDDEN_NETWORKS": "none"}

    installed = await shell(setup, place, PIP_TARGET=str(site), **(variables | OFFLINE))
    async with serving("greeter.py", place, port):
        tried = await shell(trial, place, **variables)
        async with running("agent", **variables) as agent:
            await agent.event("lease_acquired")
            added = await shell(watch, place, **(variables | as_writer))
            await agent.event("heartbeat_inserted", status="up")

    assert "expect" in installed
    assert '"banner_ms"' in tried
    assert '"greeting": "220 mail.example ready"' in tried
    assert "greeter" in added
    query = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)[0]
    _, status, greeting, banner_ms = (await (await connection.execute(query)).fetchall())[-1]
    assert (status, greeting) == ("up", "220 mail.example ready")
    assert float(banner_ms) >= 0


async def test_probe_types_lists_the_built_in_ones_as_json() -> None:
    code, said, _ = await output("probe-types", "--json")

    assert code == 0
    assert '"type": "https"' in said
