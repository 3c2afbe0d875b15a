"""Who maintains does every chore at its own pace, and stops when the lease is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from tests.support.builders import hold
from tests.support.fakes import LogBook
from tests.support.virtual_time import in_virtual_time, running_loop
from uptimeo.domain.errors import TransientError
from uptimeo.domain.partition import Dropped, Dropping, Hold
from uptimeo.leader.elector import Change, Standing
from uptimeo.leader.maintenance import MAINTENANCE_TIMING, Chore, Maintenance
from uptimeo.leader.news import LeaseNews, maintenance_news
from uptimeo.leader.partitions import PartitionChores


class Holding:
    """A lease that the test gives and takes."""

    def __init__(self) -> None:
        self._standing: Standing | None = None
        self._changed = asyncio.Event()

    def becomes(self, *, held: bool, confirmed: bool = True) -> None:
        candidate = UUID(int=1)
        self._standing = (
            Standing(term=1, candidate=candidate, confirmed=confirmed, silent_s=0) if held else None
        )
        self._changed.set()

    def standing(self) -> Standing | None:
        return self._standing

    async def changed(self, timeout_s: float) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()


class Work:
    """A chore that notes when it was begun; `fault` is raised instead of doing it."""

    def __init__(self, fault: Exception | None = None, lasts_s: float = 0.0) -> None:
        self.begun: list[float] = []
        self.cut_off = 0
        self._fault = fault
        self._lasts_s = lasts_s

    async def run(self) -> None:
        self.begun.append(running_loop().time())
        if self._fault is not None:
            raise self._fault
        try:
            await asyncio.sleep(self._lasts_s)
        except asyncio.CancelledError:
            self.cut_off += 1
            raise


@asynccontextmanager
async def maintaining(lease: Holding, book: LogBook, **work: Work) -> AsyncIterator[None]:
    chores = [Chore(name=name, every_s=60, run=each.run) for name, each in work.items()]
    loop = asyncio.create_task(Maintenance(tenure=lease, chores=chores, log=book.log).run())
    yield
    loop.cancel()
    await asyncio.wait({loop})


@in_virtual_time
async def test_chores_run_while_the_lease_is_held_and_at_no_other_time() -> None:
    lease, work = Holding(), Work()

    async with maintaining(lease, LogBook(), work=work):
        await asyncio.sleep(600)
        before = len(work.begun)
        lease.becomes(held=True)
        await asyncio.sleep(600)
        held = len(work.begun)
        lease.becomes(held=False)
        await asyncio.sleep(600)

    assert before == 0
    assert 9 <= held <= 12
    assert len(work.begun) == held


@in_virtual_time
async def test_a_chore_is_cut_off_at_once_when_the_lease_is_lost() -> None:
    lease, work = Holding(), Work(lasts_s=1000)

    async with maintaining(lease, LogBook(), work=work):
        lease.becomes(held=True)
        await asyncio.sleep(10)
        lease.becomes(held=False)
        await asyncio.sleep(0.5)

        assert (len(work.begun), work.cut_off) == (1, 1)


@in_virtual_time
async def test_a_chore_is_cut_off_before_the_margin_is_used_up_when_the_deadline_passes() -> None:
    lease, work = Holding(), Work(lasts_s=1000)

    async with maintaining(lease, LogBook(), work=work):
        lease.becomes(held=True)
        await asyncio.sleep(10)
        # Nobody says so: time has passed, and no answer came.
        lease._standing = Standing(term=1, candidate=UUID(int=1), confirmed=False, silent_s=27)
        await asyncio.sleep(MAINTENANCE_TIMING.margin)

        assert work.cut_off == 1


@in_virtual_time
@pytest.mark.parametrize("fault", [TransientError("it is away"), ZeroDivisionError("a bug")])
async def test_a_chore_that_fails_is_tried_again_ever_later_and_the_others_go_on(
    fault: Exception,
) -> None:
    lease, book, bad, good = Holding(), LogBook(), Work(fault), Work()

    async with maintaining(lease, book, bad=bad, good=good):
        lease.becomes(held=True)
        await asyncio.sleep(600)

    failed = book.lines("chore_failed")
    waits = [line["retry_s"] for line in failed]
    assert {line["chore"] for line in failed} == {"bad"}
    assert waits[:5] == [5, 10, 20, 40, 60]
    assert len(bad.begun) == len(failed)
    assert len(good.begun) >= 9


class Tables:
    """Two tables; `busy` says how often each is found to be read."""

    def __init__(self, *, expired: Mapping[str, int], busy: Mapping[str, int]) -> None:
        self.expired, self.busy = dict(expired), dict(busy)
        self.ahead: Mapping[str, int] = dict.fromkeys(expired, 7)
        self.broken: set[str] = set()
        self.history = 25_000
        self.hold: Hold | None = None

    async def parents(self) -> list[str]:
        return list(self.expired)

    async def ensure(self, parent: str) -> list[str]:
        if parent in self.broken:
            raise TransientError(f"no room for {parent}")
        return [f"{parent}_20260101"]

    async def days_ahead(self) -> Mapping[str, int]:
        return self.ahead

    async def drop_expired(self, parent: str) -> Dropped:
        if parent in self.broken:
            raise TransientError(f"{parent} is needed by a view")
        if not self.expired[parent]:
            return Dropped(outcome=Dropping.NONE, partition=None)
        if self.busy.get(parent):
            self.busy[parent] -= 1
            return Dropped(outcome=Dropping.BUSY, partition=f"{parent}_1")
        self.expired[parent] -= 1
        return Dropped(outcome=Dropping.DROPPED, partition=f"{parent}_1")

    async def held(self) -> Hold | None:
        return self.hold

    async def expire_history(self) -> int:
        done = min(10_000, self.history)
        self.history -= done
        return done


@in_virtual_time
async def test_a_table_that_is_being_read_is_tried_again_and_holds_up_no_other() -> None:
    tables, book = Tables(expired={"a": 2, "b": 3}, busy={"a": 4}), LogBook()
    began = running_loop().time()

    await PartitionChores(partitions=tables, log=book.log).drop()

    waits = [line["retry_s"] for line in book.lines("retention_delayed")]
    dropped = [line["partition"] for line in book.lines("partition_dropped")]
    assert waits == [1, 2, 4, 8]
    assert running_loop().time() - began == pytest.approx(15)
    assert dropped == ["b_1"] * 3 + ["a_1"] * 2
    assert tables.history == 0


async def test_a_table_that_cannot_be_dropped_from_does_not_hold_up_the_others() -> None:
    tables, book = Tables(expired={"a": 1, "b": 1}, busy={}), LogBook()
    tables.broken = {"a"}

    with pytest.raises(TransientError, match="a is needed by a view"):
        await PartitionChores(partitions=tables, log=book.log).drop()

    assert [line["partition"] for line in book.lines("partition_dropped")] == ["b_1"]


async def test_while_the_clock_is_not_believed_nothing_is_dropped_and_the_log_says_so() -> None:
    tables, book = Tables(expired={"a": 1}, busy={}), LogBook()
    tables.hold = hold()

    await PartitionChores(partitions=tables, log=book.log).drop()

    (line,) = book.lines("retention_held")
    assert (line["level"], line["resumes_after_h"]) == ("warning", 48)
    assert line["message"] == "Nothing is dropped: the database's clock is 31 days ahead"
    assert tables.expired == {"a": 1}


async def test_whether_anything_is_dropped_is_as_of_the_last_time_that_retention_asked() -> None:
    tables, book = Tables(expired={"a": 1}, busy={}), LogBook()
    chores = PartitionChores(partitions=tables, log=book.log)
    seen = [chores.held]

    for found in (hold(), None):
        tables.hold = found
        await chores.drop()
        seen.append(chores.held)

    assert seen == [None, True, False]


async def test_tables_with_too_few_days_ahead_are_an_error_in_the_log() -> None:
    tables, book = Tables(expired={"a": 0, "b": 0, "c": 0}, busy={}), LogBook()
    tables.ahead = {"a": 7, "b": 2, "c": -1}
    chores = PartitionChores(partitions=tables, log=book.log)

    await chores.make()

    short = [(x["table"], x["days_ahead"], x["level"]) for x in book.lines("partitions_short")]
    assert short == [("b", 2, "error"), ("c", -1, "error")]
    assert chores.days_ahead == tables.ahead


async def test_a_table_whose_partitions_cannot_be_made_does_not_hold_up_the_others() -> None:
    tables, book = Tables(expired={"a": 0, "b": 0}, busy={}), LogBook()
    tables.broken = {"a"}

    with pytest.raises(TransientError, match="no room for a"):
        await PartitionChores(partitions=tables, log=book.log).make()

    assert [line["partitions"] for line in book.lines("partitions_made")] == [["b_20260101"]]


def test_the_lease_of_maintenance_never_uses_the_words_on_datacenters() -> None:
    book = LogBook()
    tell: Callable[[LeaseNews], None] = maintenance_news(book.log)

    for change in Change:
        tell(LeaseNews(change=change, term=3, holder="b"))

    assert set(book.events()) == {"maintenance_taken", "maintenance_left"}
    assert "datacenter:" not in book.stream.getvalue()
