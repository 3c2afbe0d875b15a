"""`uptimeo up`: everything on one machine, as a newcomer starts it."""

import asyncio
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.agents import output, running
from tests.support.postgres import frozen


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="uptimeo-up-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def processes_of(directory: Path) -> list[str]:
    """The command lines of every process that names the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(directory) in command:
                found.append(command)
    return found


async def test_the_demo_shows_what_is_up_slow_and_down_and_leaves_nothing_behind(
    directory: Path,
) -> None:
    variables = {"UPTIMEO_DATA_DIR": str(directory)}

    async with running("up", "--demo", **variables) as everything:
        for status in ("up", "degraded", "down"):
            await everything.event("heartbeat_inserted", status=status)
        listed = await output("status", **variables)
        latest = await output("heartbeats", "--limit", "3", **variables)
        everything.signal(signal.SIGINT)
        code = await everything.ended()

    assert code == 0
    assert processes_of(directory) == []
    assert (listed[0], "demo: always failing" in listed[1]) == (1, True)
    assert (latest[0], latest[1].startswith("3 heartbeats")) == (0, True)


async def test_a_job_signals_without_a_second_command(directory: Path) -> None:
    variables = {"UPTIMEO_DATA_DIR": str(directory)}

    async with running("up", UPTIMEO_RECEIVE_ADDRESS="127.0.0.1:0", **variables) as everything:
        address = (await everything.event("receiver_started"))["address"]
        added = await output(
            *("monitor", "add", "push://backup", "--period", "3600", "--interval", "1"),
            UPTIMEO_RECEIVE_ADDRESS=address,
            **variables,
        )
        (url,) = re.findall(r"this once: (\S+)", added[1])
        with await asyncio.to_thread(urlopen, url) as answer:
            status = answer.status
        await everything.event("heartbeat_inserted", status="up")
        everything.signal(signal.SIGINT)
        code = await everything.ended()

    assert url.startswith(f"http://{address}/ping/")
    assert (status, code) == (200, 0)
    assert everything.lines[-1]["event"] == "receiver_stopped"
    assert processes_of(directory) == []


async def test_an_address_that_was_named_and_is_taken_is_refused(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        named = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, complaint = await output(
            "up", UPTIMEO_DATA_DIR=str(directory), UPTIMEO_RECEIVE_ADDRESS=named
        )

    assert code == 2
    assert f"UPTIMEO_RECEIVE_ADDRESS: {named} cannot be listened on" in complaint
    assert processes_of(directory) == []


async def test_it_can_be_stopped_while_its_server_hangs(directory: Path) -> None:
    async with running("up", UPTIMEO_DATA_DIR=str(directory)) as everything:
        await everything.event("lease_acquired")
        with frozen(directory):
            everything.signal(signal.SIGINT)
            code = await everything.ended()

    assert code == 0
    assert processes_of(directory) == []


async def test_a_second_start_continues_and_a_third_beside_it_is_told_who_holds_it(
    directory: Path,
) -> None:
    variables = {"UPTIMEO_DATA_DIR": str(directory)}

    async with running("up", **variables) as first:
        await first.event("lease_acquired", term=1)
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0
    async with running("up", **variables) as second:
        await second.event("lease_acquired", term=2)
        code, _, complaint = await output("up", **variables)
        holder = f"process {second.process.pid}"
        second.signal(signal.SIGINT)
        await second.ended()

    assert code == 2
    assert complaint.count("\n") == 1
    assert holder in complaint


async def test_a_killed_run_is_cleaned_up_by_the_next(directory: Path) -> None:
    variables = {"UPTIMEO_DATA_DIR": str(directory)}

    async with running("up", "--demo", **variables) as first:
        await first.event("heartbeat_inserted")
        first.signal(signal.SIGKILL)
        await first.ended()
    async with running("up", **variables) as second:
        await second.event("lease_acquired")
        second.signal(signal.SIGINT)
        assert await second.ended() == 0

    assert processes_of(directory) == []


async def test_commands_without_a_database_say_how_to_have_one(tmp_path: Path) -> None:
    code, _, complaint = await output("status", UPTIMEO_DATA_DIR=str(tmp_path))

    assert code == 2
    assert "DB_CONN_STRING" in complaint
    assert "uptimeo up" in complaint
