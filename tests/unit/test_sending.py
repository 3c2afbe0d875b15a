"""When does the writer send what is on disk? In company, and late for nobody: in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from tests.support.builders import NOON, heartbeat
from tests.support.fakes import FakeSink, LogBook
from tests.support.virtual_time import Inline, in_virtual_time, running_loop
from uptimeo.domain.heartbeat import Ingested, to_wire
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.telemetry import HeartbeatLog

APART_S = 0.5
BATCH = 500


class Timed(FakeSink):
    """A sink that notes when each batch was begun, and how many rows it had."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[float] = []
        self.sizes: list[int] = []

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        self.begun.append(running_loop().time())
        self.sizes.append(len(bodies))
        return await super().ingest(bodies)


class Sending:
    """A writer whose disk takes no time, and what it sends."""

    def __init__(self, directory: Path) -> None:
        self.sink, self._slot = Timed(), 0
        self.left: int | None = None
        self.spool = Spool(directory)
        log = LogBook(heartbeats=HeartbeatLog.NONE).log
        self.writer = HeartbeatWriter(spool=self.spool, sink=self.sink, log=log, disk=Inline())

    def put(self, count: int = 1) -> None:
        for _ in range(count):
            self._slot += 1
            self.writer.put(heartbeat(7, scheduled_at=NOON + timedelta(seconds=self._slot)))

    async def stream(self, rate: int, seconds: float) -> None:
        for _ in range(round(rate * seconds)):
            self.put()
            await asyncio.sleep(1 / rate)


@asynccontextmanager
async def sending(directory: Path) -> AsyncIterator[Sending]:
    made = Sending(directory)
    loops = [asyncio.create_task(made.writer.commit()), asyncio.create_task(made.writer.send())]
    yield made
    for loop in loops:
        loop.cancel()
    await asyncio.wait(loops)
    assert all(loop.cancelled() for loop in loops)
    made.left = await made.writer.finish(0.4)
    await made.writer.aclose()


@in_virtual_time
async def test_heartbeats_of_one_second_reach_the_database_in_a_few_transactions(
    tmp_path: Path,
) -> None:
    async with sending(tmp_path) as way:
        await way.stream(rate=33, seconds=10)
        await asyncio.sleep(APART_S)

    assert sum(way.sink.sizes) == 330
    assert 20 <= len(way.sink.sizes) <= 22
    gaps = [later - before for before, later in pairwise(way.sink.begun)]
    assert min(gaps) > APART_S - 0.001


@in_virtual_time
async def test_no_heartbeat_waits_longer_than_the_distance_of_two_batches(tmp_path: Path) -> None:
    async with sending(tmp_path) as way:
        way.put()
        await asyncio.sleep(0.1)
        put_at = running_loop().time()
        way.put()
        await asyncio.sleep(APART_S)

    assert way.sink.sizes == [1, 1]
    assert way.sink.begun[1] - put_at <= APART_S - 0.1 + 0.001


@in_virtual_time
async def test_the_first_after_a_quiet_time_is_sent_at_once(tmp_path: Path) -> None:
    async with sending(tmp_path) as way:
        put_at = []
        for _ in range(3):
            await asyncio.sleep(60)
            put_at.append(running_loop().time())
            way.put()
        await asyncio.sleep(60)

    assert way.sink.begun == put_at


@in_virtual_time
async def test_a_whole_batch_is_not_kept_waiting(tmp_path: Path) -> None:
    async with sending(tmp_path) as way:
        way.put()
        await asyncio.sleep(0.1)
        way.put(BATCH - 1)
        await asyncio.sleep(0.1)
        before = list(way.sink.sizes)
        way.put()
        await asyncio.sleep(0.1)
        after = list(way.sink.sizes)

    assert (before, sum(after)) == ([1], BATCH + 1)


@in_virtual_time
async def test_a_backlog_is_sent_without_a_pause(tmp_path: Path) -> None:
    with closing(Spool(tmp_path)) as earlier:
        earlier.append(
            [to_wire(heartbeat(8, scheduled_at=NOON + timedelta(seconds=n))) for n in range(10_000)]
        )
    async with sending(tmp_path) as way:
        began = running_loop().time()
        await asyncio.sleep(0.01)

    assert sum(way.sink.sizes) == 10_000
    assert set(way.sink.begun) == {began}


@in_virtual_time
async def test_what_failed_is_sent_again_at_the_pace_of_tries(tmp_path: Path) -> None:
    async with sending(tmp_path) as way:
        way.sink.down = True
        way.put()
        await asyncio.sleep(0.01)
        way.sink.down = False
        await asyncio.sleep(APART_S - 0.15)
        stored = way.sink.stored()

    assert len(stored) == 1


@in_virtual_time
async def test_a_stop_sends_all(tmp_path: Path) -> None:
    async with sending(tmp_path) as way:
        way.put()
        await asyncio.sleep(0.1)
        way.put(BATCH // 2)
        await asyncio.sleep(0.1)
        kept_back, stopped_at = list(way.sink.sizes), running_loop().time()

    assert (kept_back, way.sink.sizes, way.left) == ([1], [1, BATCH // 2], 0)
    assert way.sink.begun[1] == stopped_at
