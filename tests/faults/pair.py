"""Two agents of one datacenter: which leads, and how each is killed, stopped or started again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.faults.history import Execution, spooled
from tests.faults.installation import DATACENTER, Installation
from tests.support.agents import Running
from uptimeo.storage.database import Connection, one

NAMES = ("agent-a", "agent-b")
PATIENCE_S = 60.0
_LEADER = "SELECT holder_name FROM agent_leases WHERE datacenter_id = %s AND holder IS NOT NULL"
_TERM = "SELECT term FROM agent_leases WHERE datacenter_id = %s"
_CHECKED = """
SELECT EXISTS (
    SELECT FROM api_heartbeats WHERE datacenter_id = %s AND term = %s AND attempts > 0)
"""


def other(name: str) -> str:
    """The one of the two that is not `name`."""
    return NAMES[1 - NAMES.index(name)]


class Pair:
    """The two agents. Made by `pair`, which ends both."""

    def __init__(self, place: Installation, environment: dict[str, str]) -> None:
        self._place = place
        self._environment = environment
        self._contexts: dict[str, AbstractAsyncContextManager[Running]] = {}
        self.agents: dict[str, Running] = {}

    async def start(self, name: str) -> None:
        """Start an agent that does not run."""
        context = self._place.agent(name, **self._environment)
        self.agents[name] = await context.__aenter__()
        self._contexts[name] = context

    async def start_as_standby(self, name: str) -> None:
        """Start an agent beside a leader; returns when it has seen the lease."""
        await self.start(name)
        await self.agents[name].event("standing_by")

    async def kill(self, name: str) -> float:
        """End an agent with SIGKILL; answers with the time at which."""
        killed_at = time.time()
        self.agents[name].signal(signal.SIGKILL)
        await self.ended(name)
        return killed_at

    async def ended(self, name: str) -> int:
        """Wait for the end of an agent; answers with its exit code."""
        code = await self.agents.pop(name).ended()
        await self._contexts.pop(name).__aexit__(None, None, None)
        return code

    async def stop(self) -> list[int]:
        """End those that run in order, the leader last: nobody takes over; the exit codes."""
        async with await self._place.connect() as connection:
            last = await leader(connection)
        codes = []
        for name in sorted(self.agents, key=lambda name: name == last):
            self.agents[name].signal(signal.SIGTERM)
            codes.append(await self.ended(name))
        return codes

    def left_by(self, name: str) -> set[Execution]:
        """What a killed agent had on its disk: acknowledged, so it must not be lost."""
        return {beat.what for beat in spooled(self._place.data_dir(name) / "spool")}

    async def aclose(self) -> None:
        """Kill what still runs."""
        for context in self._contexts.values():
            await context.__aexit__(None, None, None)


@asynccontextmanager
async def pair(place: Installation, **environment: str) -> AsyncIterator[Pair]:
    """Two agents, agent-a leading and agent-b standing by; heartbeats already arrive."""
    agents = Pair(place, environment)
    try:
        await agents.start("agent-a")
        await agents.agents["agent-a"].event("lease_acquired")
        await agents.start_as_standby("agent-b")
        async with await place.connect() as connection:
            await until_checked(connection, await term(connection))
        yield agents
    finally:
        await agents.aclose()


async def leader(connection: Connection) -> str:
    """Who leads; waits until somebody does."""
    async with asyncio.timeout(PATIENCE_S):
        while (name := await one(connection, _LEADER, (DATACENTER,))) is None:
            await asyncio.sleep(0.02)
    return str(name)


async def term(connection: Connection) -> int:
    """The present term."""
    return int(await one(connection, _TERM, (DATACENTER,)))


async def until_checked(connection: Connection, of_term: int) -> None:
    """Wait until a check of that term is stored."""
    async with asyncio.timeout(PATIENCE_S):
        while not await one(connection, _CHECKED, (DATACENTER, of_term)):
            await asyncio.sleep(0.05)
