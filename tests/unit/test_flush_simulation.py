"""Minutes of crashes and outages between the real writer and a database, replayed from a seed.

Nothing that reached the spool may be missing in the end; nothing may stay behind for ever.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.builders import NOON, heartbeat
from tests.support.fakes import LogBook
from tests.support.virtual_time import Inline, VirtualLoop
from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.heartbeat import Ingested
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spooled import Spooled
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.tasks import cancel_all

SEEDS = range(25)
MINUTES = 2
DRAIN_S = 120


@dataclass
class World:
    """The database and what may go wrong on the way to it."""

    chance: random.Random
    stored: dict[str, int] = field(default_factory=dict)
    down: bool = False
    calm: bool = False

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        await asyncio.sleep(0.001 if self.calm else self.chance.choice([0.001, 0.01, 0.3, 3]))
        if self.down or (not self.calm and self.chance.random() < 0.1):
            raise TransientError("the request was lost")
        if any('"monitor_id":13' in body for body in bodies):
            raise RejectedError("unlucky")
        for body in bodies:
            self.stored[body] = self.stored.get(body, 0) + 1
        await asyncio.sleep(0.001)
        if not self.calm and self.chance.random() < 0.1:
            raise TransientError("the answer was lost")
        return Ingested(inserted=len(bodies), duplicate=0, set_aside={})

    async def set_aside(self, body: str, reason: str) -> None:
        if self.down:
            raise TransientError("away")


class WatchedSpool(Spool):
    """Remembers what was ever acknowledged."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    def append(self, bodies: Sequence[str]) -> None:
        super().append(bodies)
        self.acknowledged += bodies

    def set_aside(self, row: Spooled, reason: str) -> None:
        super().set_aside(row, reason)
        self.refused.append(row.body)


async def live(seed: int, directory: Path, kind: type[HeartbeatWriter]) -> tuple[int, int]:
    """A few minutes of an agent's life; how many acknowledged heartbeats are lost, and left."""
    chance = random.Random(seed)
    world, spool, log = World(chance), WatchedSpool(directory), LogBook(level="CRITICAL").log
    end = asyncio.get_running_loop().time() + MINUTES * 60
    slot = 0
    while (now := asyncio.get_running_loop().time()) < end:
        writer = kind(spool=spool, sink=world, log=log, disk=Inline())
        tasks = [asyncio.create_task(writer.commit()), asyncio.create_task(writer.send())]
        crash = min(end, now + chance.expovariate(1 / 20))
        while asyncio.get_running_loop().time() < crash:
            slot += 1
            moment = NOON + timedelta(seconds=slot)
            writer.put(heartbeat(monitor_number(chance), scheduled_at=moment, executed_at=moment))
            world.down = chance.random() < (0.98 if world.down else 0.01)
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.2, 1.0]))
        # A kill -9: no goodbye, and what was in memory is gone.
        await cancel_all(tasks, patience_s=5)
    world.down, world.calm = False, True
    writer = kind(spool=spool, sink=world, log=log, disk=Inline())
    sending = asyncio.create_task(writer.send())
    await asyncio.sleep(DRAIN_S)
    await cancel_all([sending], patience_s=5)
    lost = set(spool.acknowledged) - set(world.stored) - set(spool.refused)
    left = spool.depth()
    spool.close()
    return len(lost), left


def monitor_number(chance: random.Random) -> int:
    """Now and then the one that PostgreSQL refuses."""
    return 13 if chance.random() < 0.02 else chance.randint(1, 12)


def outcome(seed: int, directory: Path, kind: type[HeartbeatWriter]) -> tuple[int, int]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(live(seed, directory / str(seed), kind))


def test_nothing_that_was_acknowledged_is_lost_or_left_behind(tmp_path: Path) -> None:
    results = {seed: outcome(seed, tmp_path, HeartbeatWriter) for seed in SEEDS}

    assert {seed: result for seed, result in results.items() if result != (0, 0)} == {}


class DeletesBeforeCommit(HeartbeatWriter):
    """A planted bug."""

    async def _deliver(self, batch: Sequence[Spooled]) -> None:
        await self._on_disk(lambda: self._spool.remove(batch))
        await super()._deliver(batch)


class ForgetsRefusedBatches(HeartbeatWriter):
    """A planted bug."""

    async def _deliver(self, batch: Sequence[Spooled]) -> None:
        with suppress(RejectedError):
            if batch:
                await self._sink.ingest([row.body for row in batch])
        await self._on_disk(lambda: self._spool.remove(batch))


@pytest.mark.parametrize("planted", [DeletesBeforeCommit, ForgetsRefusedBatches])
def test_it_catches_a_planted_bug(tmp_path: Path, planted: type[HeartbeatWriter]) -> None:
    assert any(outcome(seed, tmp_path, planted) != (0, 0) for seed in SEEDS)
