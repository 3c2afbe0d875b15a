"""Does every heartbeat reach the sink, whatever fails on its way, and none twice without need?"""

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import NOON, heartbeat
from tests.support.fakes import FakeSink, FaultySpool, LogBook, eventually
from uptimeo.domain.heartbeat import Heartbeat, Ingested, to_wire
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.telemetry import HeartbeatLog

IN_MEMORY = 10_000
BEAT = heartbeat()


class Way:
    """The whole way of a heartbeat: a writer, its spool, a sink and a log."""

    def __init__(self, directory: Path, *, spool: Spool | None = None) -> None:
        self.spool = spool or FaultySpool(directory)
        self.sink = FakeSink()
        self.book = LogBook(heartbeats=HeartbeatLog.NONE)
        self.writer = HeartbeatWriter(spool=self.spool, sink=self.sink, log=self.book.log)
        self.sent: list[tuple[int, str]] = []

    @property
    def disk(self) -> FaultySpool:
        assert isinstance(self.spool, FaultySpool)
        return self.spool

    def put(self, count: int = 1) -> None:
        """Hand that many heartbeats to the writer, each of a slot of its own."""
        for _ in range(count):
            beat = slot(len(self.sent))
            self.sent.append((beat.monitor.id, beat.scheduled_at.isoformat()))
            self.writer.put(beat)

    def depth(self) -> int:
        """How many wait on the disk, as another process would see it."""
        with closing(sqlite3.connect(self.spool._path)) as reader:
            count: int = reader.execute("SELECT count(*) FROM queue").fetchone()[0]
            return count

    async def all_saved(self) -> None:
        """Wait until nothing is in memory any more."""
        await eventually(lambda: not self.writer._memory)

    async def all_stored(self) -> None:
        """Wait until the sink has every heartbeat."""
        await eventually(lambda: set(self.sink.slots()) >= set(self.sent))

    async def all_forgotten(self) -> None:
        """Wait until nothing is in memory nor on the disk."""
        await self.all_saved()
        await eventually(lambda: self.depth() == 0)


def slot(number: int) -> Heartbeat:
    return heartbeat(7, scheduled_at=NOON + timedelta(seconds=number))


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The writer's loops; one that dies of an error fails the test."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        assert task.cancelled(), task.exception()


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    made = Way(tmp_path / "spool")
    yield made
    await made.writer.aclose()


# The ordinary day.


async def test_heartbeats_arrive_in_the_sink_in_their_order(way: Way) -> None:
    async with running(way.writer.commit(), way.writer.send()):
        for _ in range(5):
            way.put(3)
            await asyncio.sleep(0.01)
        await way.all_stored()
        await way.all_forgotten()

    assert sorted(way.sink.slots()) == way.sent


async def test_what_is_stored_is_the_wire_form(way: Way) -> None:
    async with running(way.writer.commit(), way.writer.send()):
        way.writer.put(BEAT)
        await eventually(lambda: bool(way.sink.batches))

    assert way.sink.stored() == [to_wire(BEAT)]


async def test_more_than_a_batch_arrives_in_several(way: Way) -> None:
    way.put(1234)

    async with running(way.writer.commit(), way.writer.send()):
        await way.all_stored()

    assert sorted(way.sink.slots()) == way.sent
    assert [len(batch) for batch in way.sink.batches] == [500, 734]


async def test_what_an_earlier_run_left_is_sent(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as earlier:
        earlier.append([to_wire(BEAT)])
    way = Way(tmp_path / "spool")

    async with running(way.writer.send()):
        await eventually(lambda: way.sink.stored() == [to_wire(BEAT)])

    await way.writer.aclose()


async def test_every_stored_heartbeat_is_logged_once(tmp_path: Path) -> None:
    way = Way(tmp_path / "spool")
    way.book = LogBook(heartbeats=HeartbeatLog.ALL)
    way.writer._log = way.book.log
    way.put(20)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: len(way.book.lines("heartbeat_inserted")) >= 20)
        await way.all_forgotten()

    slots = [line["scheduled_at"] for line in way.book.lines("heartbeat_inserted")]
    assert slots == [moment for _, moment in way.sent]
    await way.writer.aclose()


async def test_what_the_database_sets_aside_is_logged_with_its_reason(tmp_path: Path) -> None:
    class Fencing(FakeSink):
        async def ingest(self, bodies: Any) -> Ingested:
            await super().ingest(bodies)
            return Ingested(inserted=1, duplicate=0, set_aside={1: "executed after its term"})

    way = Way(tmp_path / "spool")
    way.writer._sink = way.sink = Fencing()
    way.put(2)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.book.lines("heartbeat_set_aside")))

    (line,) = way.book.lines("heartbeat_set_aside")
    assert line["reason"] == "executed after its term"
    await way.writer.aclose()


# A database that is away.


async def test_during_an_outage_everything_stays_on_disk(way: Way) -> None:
    way.sink.down = True
    way.put(30)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.sink.calls >= 2)

    assert way.depth() == 30
    assert way.sink.stored() == []


async def test_after_an_outage_everything_arrives_once(way: Way) -> None:
    way.sink.down = True
    way.put(30)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.sink.calls >= 2)
        way.put(30)
        way.sink.down = False
        await way.all_stored()
        await way.all_forgotten()

    assert sorted(way.sink.slots()) == way.sent


async def test_an_outage_is_logged_with_the_number_that_waits(way: Way) -> None:
    way.sink.down = True
    way.put(30)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.book.lines("heartbeats_unsent")))

    line = way.book.lines("heartbeats_unsent")[0]
    assert (line["count"], line["message"]) == (30, "Failed to save heartbeat")


async def test_an_unknown_outcome_is_sent_again(way: Way) -> None:
    way.sink.lost_answers = 1
    way.put(10)

    async with running(way.writer.commit(), way.writer.send()):
        await way.all_forgotten()
        await eventually(lambda: len(way.sink.batches) == 2)

    assert way.sink.batches[0] == way.sink.batches[1]


async def test_nothing_is_forgotten_before_the_sink_has_answered(way: Way) -> None:
    way.sink.hangs = True
    way.put(10)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.sink.calls == 1)

        assert way.depth() == 10


# Rows that are refused.


@pytest.mark.parametrize("position", [0, 17, 49])
async def test_one_refused_row_among_fifty_is_set_aside_and_the_others_stored(
    way: Way, position: int
) -> None:
    way.put(50)
    bad = way.sent[position][1]
    way.sink.refuses = lambda body: json.loads(body)["scheduled_at"] == bad

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: len(way.sink.refused) == 1)
        await way.all_forgotten()

    assert way.sink.slots() == [key for key in way.sent if key[1] != bad]
    ((body, reason),) = way.sink.refused
    assert json.loads(body)["scheduled_at"] == bad
    assert reason.startswith("the database refuses {")


async def test_a_refused_row_is_logged_once(way: Way) -> None:
    way.put(50)
    way.sink.refuses = lambda body: json.loads(body)["scheduled_at"] == way.sent[30][1]

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.sink.refused))
        await way.all_forgotten()

    assert len(way.book.lines("heartbeat_set_aside")) == 1


async def test_a_refused_row_is_kept_on_disk_when_the_database_cannot_take_it(
    way: Way,
) -> None:
    class Breaking(FakeSink):
        async def set_aside(self, body: str, reason: str) -> None:
            self.down = True
            await super().set_aside(body, reason)

    way.writer._sink = way.sink = Breaking()
    way.put(1)
    way.sink.refuses = lambda body: True

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.sink.down)
        await way.all_forgotten()

    kept = way.spool._db.execute("SELECT reason FROM set_aside").fetchall()
    assert len(kept) == 1


async def test_an_outage_in_the_middle_of_halving_loses_nothing(way: Way) -> None:
    class Interrupted(FakeSink):
        async def ingest(self, bodies: Any) -> Ingested:
            self.down = self.calls == 4
            return await super().ingest(bodies)

    way.writer._sink = way.sink = Interrupted()
    way.put(50)
    bad = way.sent[33]
    way.sink.refuses = lambda body: json.loads(body)["scheduled_at"] == bad[1]

    async with running(way.writer.commit(), way.writer.send()):
        await way.all_forgotten()
        await eventually(lambda: bool(way.sink.refused))

    assert sorted(way.sink.slots()) == sorted(key for key in way.sent if key != bad)


async def test_many_refused_rows_do_not_stop_the_good_ones(way: Way) -> None:
    way.put(60)
    bad = {moment for _, moment in way.sent[::3]}
    way.sink.refuses = lambda body: json.loads(body)["scheduled_at"] in bad

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: len(way.sink.refused) == 20)
        await way.all_forgotten()

    assert way.sink.slots() == [key for key in way.sent if key[1] not in bad]


async def test_a_row_damaged_on_disk_is_set_aside_and_never_sent(way: Way) -> None:
    way.put(20)
    await way.writer._commit_group()
    with closing(sqlite3.connect(way.spool._path)) as other:
        other.execute("UPDATE queue SET body = replace(body, '\"up\"', '\"uq\"') WHERE seq = 5")
        other.commit()

    async with running(way.writer.send()):
        await way.all_forgotten()
        await eventually(lambda: bool(way.sink.refused))

    reason = "damaged on disk: the checksum of row 5 is wrong"
    assert sorted(way.sink.slots()) == way.sent[:4] + way.sent[5:]
    assert [line["reason"] for line in way.book.lines("heartbeat_set_aside")] == [reason]
    ((body, told),) = way.sink.refused
    assert (told, '"uq"' in body) == (reason, True)
    kept = way.spool._db.execute("SELECT seq, reason, body FROM set_aside").fetchall()
    assert kept == [(5, reason, body)]


# A disk that fails.


@pytest.mark.parametrize("operation", ["append", "newest", "remove"])
async def test_a_failing_disk_is_told_of_and_loses_nothing(way: Way, operation: str) -> None:
    way.disk.broken = {operation, "depth"}
    way.put(20)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.book.lines("spool_failed")))
        way.put(20)
        way.disk.broken = set()
        await way.all_stored()
        await way.all_forgotten()

    assert set(way.sink.slots()) == set(way.sent)


async def test_what_a_failing_disk_does_not_take_arrives_once_and_in_order(way: Way) -> None:
    way.disk.broken = {"append", "reopen"}
    way.put(20)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.disk.attempts == 1)
        way.put(20)
        await eventually(lambda: way.disk.attempts == 2)
        way.put(20)
        way.disk.broken = set()
        await way.all_stored()

    assert sorted(way.sink.slots()) == way.sent


async def test_a_closed_file_is_opened_again(way: Way) -> None:
    way.put(5)

    async with running(way.writer.commit(), way.writer.send()):
        await way.all_forgotten()
        way.spool._db.close()
        way.put(5)
        await way.all_stored()

    assert sorted(way.sink.slots()) == way.sent


async def test_damage_found_later_moves_the_file_aside_and_the_work_goes_on(way: Way) -> None:
    way.sink.down = True
    way.put(300)

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: way.depth() == 300)
        emptied = "PRAGMA wal_checkpoint(TRUNCATE)"
        await way.writer._on_disk(lambda: way.spool._db.execute(emptied).fetchall())
        file = way.spool._path
        file.write_bytes(file.read_bytes()[:4096] + random.Random(7).randbytes(80_000))
        with closing(sqlite3.connect(file)) as other:
            other.execute("PRAGMA user_version = 1")
        way.sink.down = False
        await eventually(lambda: bool(way.book.lines("spool_moved_aside")))
        way.sent.clear()
        way.put(10)
        await way.all_stored()


async def test_a_spool_that_was_damaged_at_the_start_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "spool.db").write_bytes(b"no database" * 1000)
    way = Way(tmp_path / "spool")

    async with running(way.writer.commit()):
        await eventually(lambda: bool(way.book.lines("spool_moved_aside")))

    await way.writer.aclose()


def half(content: bytes) -> bytes:
    """The first half of the file's pages; a page that was cut would hold a damaged row."""
    return content[: len(content) // 8192 * 4096]


async def test_of_a_file_that_was_cut_short_the_rest_is_sent(tmp_path: Path) -> None:
    bodies = [to_wire(slot(number)) for number in range(300)]
    with closing(Spool(tmp_path / "spool")) as earlier:
        earlier.append(bodies)
    file = tmp_path / "spool" / "spool.db"
    file.write_bytes(half(file.read_bytes()))
    way = Way(tmp_path / "spool")

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.book.lines("spool_salvaged")))
        await way.all_forgotten()

    assert set(way.sink.stored()) <= set(bodies)
    (line,) = way.book.lines("spool_salvaged")
    assert line["heartbeats"] == len(way.sink.stored()) > 100
    await way.writer.aclose()


async def test_what_is_salvaged_altered_is_set_aside_and_never_sent(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as earlier:
        earlier.append([to_wire(slot(number)) for number in range(300)])
    file = tmp_path / "spool" / "spool.db"
    flipped = to_wire(slot(3)).replace('"up"', '"uq"').encode()
    content = file.read_bytes().replace(to_wire(slot(3)).encode(), flipped)
    file.write_bytes(half(content))
    way = Way(tmp_path / "spool")

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: bool(way.sink.refused))
        await way.all_forgotten()

    assert flipped.decode() not in way.sink.stored()
    ((body, reason),) = way.sink.refused
    assert (body, reason.startswith("damaged on disk")) == (flipped.decode(), True)
    await way.writer.aclose()


async def test_a_log_that_lost_its_file_is_told_of_and_sent(tmp_path: Path) -> None:
    bodies = [to_wire(slot(number)) for number in range(1000, 1300)]
    with closing(Spool(tmp_path / "earlier")) as earlier:
        earlier.append(bodies)
        shutil.copytree(tmp_path / "earlier", tmp_path / "spool")
    (tmp_path / "spool" / "spool.db").unlink()
    way = Way(tmp_path / "spool")

    async with running(way.writer.commit(), way.writer.send()):
        await eventually(lambda: len(way.sink.stored()) == 300)

    assert set(way.sink.stored()) == set(bodies)
    assert "spool_moved_aside" in way.book.events()
    assert "spool_lost" not in way.book.events()
    await way.writer.aclose()


async def told_of_loss(way: Way) -> list[tuple[int, bool]]:
    """What the log says after a run in which one new heartbeat is stored."""
    async with running(way.writer.commit(), way.writer.send()):
        way.put(1)
        await way.all_stored()
        await way.all_forgotten()
    return [(line["rows"], line["exact"]) for line in way.book.lines("spool_lost")]


async def test_what_damage_took_is_told_once_and_counted_as_dropped(tmp_path: Path) -> None:
    bodies = [to_wire(slot(number)) for number in range(1000, 1300)]
    with closing(Spool(tmp_path / "spool")) as earlier:
        earlier.append(bodies)
    file = tmp_path / "spool" / "spool.db"
    file.write_bytes(half(file.read_bytes()))
    way = Way(tmp_path / "spool")

    told = await told_of_loss(way)

    lost = len(set(bodies) - set(way.sink.stored()))
    assert 100 < lost < 300
    assert (told, (await way.writer.state()).dropped) == ([(lost, True)], lost)
    await way.writer.aclose()
    after = Way(tmp_path / "spool")
    assert await told_of_loss(after) == []
    await after.writer.aclose()


async def test_a_loop_that_finds_no_room_for_what_it_salvages_goes_on(tmp_path: Path) -> None:
    class Full(FaultySpool):
        def restore(self, damaged: Path, rows: Any) -> None:
            self._fail("restore")
            super().restore(damaged, rows)

    with closing(Spool(tmp_path / "spool")) as earlier:
        earlier.append([to_wire(slot(number)) for number in range(1000, 1300)])
    file = tmp_path / "spool" / "spool.db"
    file.write_bytes(file.read_bytes()[:-4096])
    way = Way(tmp_path / "spool", spool=Full(tmp_path / "spool"))
    way.disk.broken = {"restore"}

    async with running(way.writer.commit(), way.writer.send()):
        way.put(1)
        await way.all_stored()
        assert way.book.lines("spool_salvaged") == way.book.lines("spool_lost") == []
        way.disk.broken = {"append"}
        way.put(1)
        await eventually(lambda: len(way.book.lines("spool_lost")) == 1)
        way.disk.broken = set()
        await way.all_stored()

    (line,) = way.book.lines("spool_lost")
    assert line["rows"] == 302 - len(set(way.sink.slots()))
    await way.writer.aclose()


# The bound of the memory.


async def test_beyond_its_bound_the_memory_takes_nothing_and_counts_what_it_drops(
    way: Way,
) -> None:
    for _ in range(IN_MEMORY + 3):
        way.writer.put(BEAT)

    async with running(way.writer.commit()):
        await way.all_saved()

    assert way.depth() == IN_MEMORY
    (line,) = way.book.lines("heartbeats_dropped")
    assert line["count"] == 3


async def test_what_is_on_its_way_to_the_disk_counts_as_memory(way: Way) -> None:
    way.disk.go_on.clear()
    way.disk.broken = {"append", "reopen"}
    for _ in range(IN_MEMORY):
        way.writer.put(BEAT)

    async with running(way.writer.commit()):
        await eventually(lambda: way.disk.attempts == 1)
        for _ in range(5):
            way.writer.put(BEAT)  # the group of 10,000 is neither safe nor lost yet
        way.disk.broken = set()
        way.disk.go_on.set()
        await way.all_saved()

    assert way.depth() == IN_MEMORY
    await way.writer.finish(0)
    assert [line["count"] for line in way.book.lines("heartbeats_dropped")] == [5]


async def test_after_a_drop_there_is_room_again(way: Way) -> None:
    for _ in range(IN_MEMORY + 1):
        way.writer.put(BEAT)

    async with running(way.writer.commit()):
        await way.all_saved()
        way.put(1)
        await way.all_saved()

    assert way.depth() == IN_MEMORY + 1


# The end.


async def test_finish_saves_and_sends_everything(way: Way) -> None:
    way.put(1200)

    left = await way.writer.finish(20)

    assert left == 0
    assert sorted(way.sink.slots()) == way.sent


async def test_finish_without_a_database_keeps_everything_on_disk(way: Way) -> None:
    way.sink.down = True
    way.put(12)

    left = await way.writer.finish(20)

    assert left == way.depth() == 12


async def test_finish_does_not_wait_for_a_database_that_hangs(way: Way) -> None:
    way.sink.hangs = True
    way.put(12)

    async with asyncio.timeout(10):
        left = await way.writer.finish(0.05)

    assert left == way.depth() == 12


@pytest.mark.parametrize("operation", ["append", "newest", "remove"])
async def test_finish_with_a_failing_disk_says_what_is_left(way: Way, operation: str) -> None:
    way.disk.broken = {operation, "reopen"}
    way.put(12)

    assert await way.writer.finish(5) == 12


async def test_finish_with_nothing_to_do_sends_nothing(way: Way) -> None:
    assert await way.writer.finish(5) == 0
    assert way.sink.calls == 0


# Cancelled at any moment.


async def yields(count: int) -> None:
    """Let the loop turn that many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled_after(way: Way, turns: int, pause_s: float) -> None:
    """Run both loops, put heartbeats all the while, and cancel them at that moment."""
    loops = asyncio.gather(way.writer.commit(), way.writer.send())
    for _ in range(4):
        way.put(3)
        await yields(turns)
    await asyncio.sleep(pause_s)
    loops.cancel()
    way.put(1)
    await asyncio.wait({loops})


@pytest.mark.parametrize("faults", [set(), {"append", "reopen"}], ids=["sound", "failing"])
async def test_loops_that_are_cancelled_at_any_moment_lose_nothing(
    tmp_path: Path, faults: set[str]
) -> None:
    for moment in range(60):
        way = Way(tmp_path / str(moment))
        way.disk.broken = set(faults)

        await cancelled_after(way, turns=moment % 12, pause_s=moment // 12 * 0.0015)
        way.disk.broken = set()
        left = await way.writer.finish(20)

        assert left == 0
        assert set(way.sink.slots()) == set(way.sent)
        await way.writer.aclose()


async def test_a_loop_cancelled_while_the_disk_is_slow_saves_its_group_once(way: Way) -> None:
    way.disk.go_on.clear()
    way.put(20)
    async with running(way.writer.commit()):
        await eventually(lambda: way.disk.attempts == 1)
    way.disk.go_on.set()

    await way.writer.finish(20)

    assert sorted(way.sink.slots()) == way.sent


async def test_a_loop_cancelled_while_the_disk_is_failing_keeps_its_group(way: Way) -> None:
    way.disk.go_on.clear()
    way.disk.broken = {"append"}
    way.put(20)
    async with running(way.writer.commit()):
        await eventually(lambda: way.disk.attempts == 1)
    way.disk.go_on.set()
    await way.writer._on_disk(lambda: None)  # the disk's thread does one thing after the other
    way.disk.broken = set()

    await way.writer.finish(20)

    assert sorted(way.sink.slots()) == way.sent


async def test_a_sender_cancelled_between_store_and_answer_sends_again(way: Way) -> None:
    way.put(5)
    await way.writer._commit_group()
    sending = asyncio.create_task(way.writer.send())
    await eventually(lambda: way.sink.calls == 1)
    while not way.sink.batches:
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending})

    await way.writer.finish(20)

    assert way.depth() == 0
    assert set(way.sink.slots()) == set(way.sent)


async def test_putting_a_heartbeat_never_waits_for_the_disk(way: Way) -> None:
    way.disk.go_on.clear()
    async with running(way.writer.commit()):
        way.put(1)
        await eventually(lambda: way.disk.attempts == 1)

        way.put(100)  # would hang here for ever

        way.disk.go_on.set()
        await eventually(lambda: way.depth() == 101)
