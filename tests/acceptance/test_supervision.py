"""Does a service manager learn what the installed command does, and that it hangs?"""

import asyncio
import os
import signal
from pathlib import Path

from tests.acceptance.test_agent import add, other
from tests.support.agents import PATIENCE_S, running
from tests.support.servers import Address
from tests.support.service_manager import listening
from uptimeo.storage.database import Connection
from uptimeo.storage.local import LocalServer

# A probe type that holds the event loop until somebody reads the pipe that its URL names.
STUCK = """
from typing import ClassVar

from uptimeo.probes.base import Probe, ProbeOptions, Timeline


class StuckProbe(Probe[ProbeOptions]):
    options: ClassVar[type[ProbeOptions]] = ProbeOptions

    async def probe(self, options, context):
        pipe = options.url.removeprefix("stuck://")
        open(f"{pipe}.begun", "w").close()
        with open(pipe, "w"):
            return Timeline().result()
"""
ENTRY = "[uptimeo.probes]\nstuck = stuck:StuckProbe\n"


def watched(tmp_path: Path) -> dict[str, str]:
    """What a manager sets that wants a sign of life every 0.4 seconds."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}


def stuck(site: Path) -> Path:
    """Make the probe type there; answers with the pipe."""
    about = site / "stuck-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "stuck.py").write_text(STUCK)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY)
    os.mkfifo(site / "pipe")
    return site / "pipe"


async def test_a_leader_and_a_standby_are_ready_and_an_end_is_announced(
    environment: dict[str, str], connection: Connection, target: Address, tmp_path: Path
) -> None:
    await add(connection, "m", target.url("/"))
    here = f"@uptimeo-test-standby-{os.getpid()}"

    async with (
        listening(str(tmp_path / "notify")) as first,
        listening(here) as second,
        running("agent", **environment, **watched(tmp_path)) as leader,
    ):
        await first.once("READY=1")
        await first.status("leads VA, term 1; 1 monitors")
        async with running("agent", **other(environment, tmp_path), NOTIFY_SOCKET=here) as standby:
            await second.once("READY=1")
            await second.status("stands by in VA; 1 monitors")
            leader.signal(signal.SIGTERM)
            assert await leader.ended() == 0
            await second.status("leads VA, term 2")
            standby.signal(signal.SIGTERM)
            assert await standby.ended() == 0
        await first.once("STOPPING=1")
        await second.once("STOPPING=1")

    assert first.states[0] == "STATUS=waiting for the database"
    assert first.heard("READY=1") == second.heard("READY=1") == 1
    assert first.heard("WATCHDOG=1") > 0
    assert second.heard("WATCHDOG=1") == 0


async def test_an_agent_whose_loop_hangs_gives_no_sign_of_life_until_it_goes_on(
    environment: dict[str, str], connection: Connection, tmp_path: Path
) -> None:
    pipe = stuck(tmp_path / "site")
    begun = pipe.with_suffix(".begun")
    given = environment | watched(tmp_path) | {"PYTHONPATH": str(tmp_path / "site")}

    async with listening(str(tmp_path / "notify")) as told, running("agent", **given) as agent:
        await told.status("leads VA")
        await told.again("WATCHDOG=1", times=3)
        await add(connection, "stuck", f"stuck://{pipe}", type="STUCK")
        async with asyncio.timeout(PATIENCE_S):
            while not begun.exists():
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        before = told.heard("WATCHDOG=1")
        await asyncio.sleep(1.2)  # three times what the manager waits
        assert told.heard("WATCHDOG=1") == before
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        await told.again("WATCHDOG=1")
        os.close(reading)
        agent.signal(signal.SIGKILL)


async def test_an_agent_that_waits_for_the_database_is_not_ready_until_it_is_there(
    server: LocalServer, environment: dict[str, str], tmp_path: Path
) -> None:
    given = environment | watched(tmp_path) | {"DB_CONN_STRING": server.conninfo}
    server.stop()

    async with listening(str(tmp_path / "notify")) as told, running("agent", **given) as agent:
        await agent.event("database_unavailable")
        assert told.states == ["STATUS=waiting for the database"]
        agent.signal(signal.SIGTERM)
        await told.once("STOPPING=1")
        assert await agent.ended() == 0

    assert told.heard("READY=1") == 0


async def test_a_receiver_is_ready_when_it_listens(conninfo: str, tmp_path: Path) -> None:
    given = {"DB_CONN_STRING": conninfo, "UPTIMEO_RECEIVE_ADDRESS": "127.0.0.1:0"}

    async with (
        listening(str(tmp_path / "notify")) as told,
        running("receive", **given, **watched(tmp_path)) as receiver,
    ):
        await told.once("READY=1")
        await told.status("takes signals at 127.0.0.1:")
        await told.again("WATCHDOG=1", times=3)
        receiver.signal(signal.SIGTERM)
        await told.once("STOPPING=1")
        assert await receiver.ended() == 0
