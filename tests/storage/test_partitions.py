"""Partitions on a real PostgreSQL: made ahead, dropped when they are too old, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import postgres
from tests.support.fakes import LogBook
from tests.support.ingesting import ingesting
from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.domain.partition import Dropping, PartitionState
from uptimeo.leader.partitions import PartitionChores
from uptimeo.storage import health
from uptimeo.storage.database import Connection, Pool, connect, one
from uptimeo.storage.partitions import PartitionStore, keep, states, without_today

HEARTBEATS = "heartbeats"
EPOCH_MONDAY = date(2000, 1, 3)
MOMENTS = st.integers(0, 800 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
_NAMES = "SELECT partition FROM partition_bounds(%s) ORDER BY lo"
_OLD = "SELECT partitions_ensure('heartbeats', now() - %s * interval '1 day')"
_TABLES = "SELECT count(*) FROM pg_class WHERE relname ~ '^heartbeats_[0-9]{8}$'"
_KEEP_HEARTBEATS = "UPDATE partition_plans SET keep_days = %s WHERE parent = 'heartbeats'"
_READY_AHEAD = "UPDATE partition_plans SET days_ahead = %s WHERE parent = 'heartbeats'"
_MAINTAINED = """
CREATE TABLE cut (at timestamptz NOT NULL) PARTITION BY RANGE (at);
INSERT INTO partition_plans (parent, days, days_ahead, keep_days) VALUES ('cut', 1, 7, 30)
"""


async def names(connection: Connection, parent: str = HEARTBEATS) -> list[str]:
    cursor = await connection.execute(_NAMES, (parent,))
    return [name for (name,) in await cursor.fetchall()]


async def heartbeats_state(connection: Connection) -> PartitionState:
    return next(state for state in await states(connection) if state.parent == HEARTBEATS)


def day(days_ago: int) -> str:
    return f"{HEARTBEATS}_{datetime.now(UTC) - timedelta(days=days_ago):%Y%m%d}"


@asynccontextmanager
async def reading(conninfo: str, table: str = HEARTBEATS) -> AsyncIterator[Connection]:
    """A report that has read the table and is not at its end."""
    async with await connect(conninfo) as connection:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.execute(f"SELECT count(*) FROM {table}".encode())
        yield connection


@pytest.fixture(scope="module")
def cut(maintenance: str, template: str) -> Iterator["psycopg.Connection[Any]"]:
    """A table of no partitions yet, in a database of this module; every test rolls back."""
    with postgres.database(maintenance, template) as conninfo, psycopg.connect(conninfo) as driver:
        driver.execute(_MAINTAINED.encode())
        driver.commit()
        yield driver


def drop(cut: "psycopg.Connection[Any]", now: datetime) -> tuple[Any, ...]:
    query = "SELECT partition, outcome FROM partition_drop_expired('cut', %s)"
    (answer,) = cut.execute(query, (now,)).fetchall()
    return tuple(answer)


def first_of(moment: datetime, days: int) -> date:
    """The first day of the partition in which a moment lies."""
    return moment.date() - timedelta(days=(moment.date() - EPOCH_MONDAY).days % days)


@settings(max_examples=25, deadline=None)
@given(
    made=st.lists(MOMENTS, min_size=1, max_size=3),
    now=MOMENTS,
    days=st.sampled_from([1, 7, 28]),
    keep_days=st.none() | st.integers(2, 400),
    zone=st.sampled_from(["UTC", "America/New_York", "Pacific/Auckland"]),
)
def test_what_is_expired_is_dropped_and_nothing_else(
    cut: "psycopg.Connection[Any]",
    made: list[datetime],
    now: datetime,
    days: int,
    keep_days: int | None,
    zone: str,
) -> None:
    cut.execute("SELECT set_config('TimeZone', %s, true)", (zone,))
    plan = "UPDATE partition_plans SET days = %s, keep_days = %s WHERE parent = 'cut'"
    cut.execute(plan, (days, keep_days))
    for moment in made:
        cut.execute("SELECT partitions_ensure('cut', %s)", (moment,))
    before = cut.execute("SELECT partition FROM partition_bounds('cut')").fetchall()
    cut.execute("UPDATE retention_clock SET believed_at = %s", (now,))
    dropped = []
    while (answer := drop(cut, now)) != (None, "none"):
        assert answer[1] == "dropped"
        dropped.append(answer[0])
    left = cut.execute("SELECT partition FROM partition_bounds('cut')").fetchall()
    cut.rollback()

    first_days = {
        first_of(moment - timedelta(days=1), days) + timedelta(days=n)
        for moment in made
        for n in range(0, 7 + 2 * days, days)
        if first_of(moment - timedelta(days=1), days) + timedelta(days=n)
        <= first_of(moment + timedelta(days=7), days)
    }
    assert {name for (name,) in before} == {f"cut_{first:%Y%m%d}" for first in first_days}
    end = timedelta(days=days)
    gone = sorted(
        first
        for first in first_days
        if keep_days is not None
        and datetime.combine(first + end, datetime.min.time(), UTC)
        <= now - timedelta(days=keep_days)
    )
    assert dropped == [f"cut_{first:%Y%m%d}" for first in gone]
    assert {name for (name,) in left} == {name for (name,) in before} - set(dropped)


async def test_a_call_drops_one_partition_the_oldest(connection: Connection, pool: Pool) -> None:
    await connection.execute(_OLD, (40,))
    before = await names(connection)

    done = await PartitionStore(pool).drop_expired(HEARTBEATS)

    assert (done.outcome, done.partition) == (Dropping.DROPPED, before[0])
    assert await names(connection) == before[1:]
    assert await one(connection, _TABLES) == len(before) - 1


async def test_while_a_report_reads_nothing_is_dropped_and_the_report_goes_on(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    store = PartitionStore(pool)

    async with reading(conninfo) as report:
        during = await store.drop_expired(HEARTBEATS)
        assert await one(report, "SELECT count(*) FROM api_heartbeats") == 0
    after = await store.drop_expired(HEARTBEATS)

    assert (during.outcome, after.outcome) == (Dropping.BUSY, Dropping.DROPPED)
    assert during.partition == after.partition


async def test_who_reads_one_old_day_alone_is_not_waited_for_with_the_table_in_hand(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    oldest = (await names(connection))[0]

    async with reading(conninfo, oldest):
        during = await PartitionStore(pool).drop_expired(HEARTBEATS)

    assert (during.outcome, during.partition) == (Dropping.BUSY, oldest)


async def test_a_detaching_that_was_broken_off_is_brought_to_its_end(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    oldest = (await names(connection))[0]
    async with reading(conninfo), await connect(conninfo) as person:
        await person.execute("SET lock_timeout = '200ms'")
        detach = f"ALTER TABLE heartbeats DETACH PARTITION {oldest} CONCURRENTLY"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await person.execute(detach.encode())
    assert await one(
        connection, "SELECT sum(detaching::int) FROM partition_bounds(%s)", (HEARTBEATS,)
    )

    done = await PartitionStore(pool).drop_expired(HEARTBEATS)

    assert (done.outcome, done.partition) == (Dropping.DROPPED, oldest)
    assert await one(connection, "SELECT to_regclass(%s)", (oldest,)) is None


async def test_a_partition_that_was_detached_by_hand_is_left_alone(
    connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    oldest = (await names(connection))[0]
    detach = f"ALTER TABLE heartbeats DETACH PARTITION {oldest}"
    await connection.execute(detach.encode())
    book = LogBook()

    await PartitionChores(partitions=PartitionStore(pool), log=book.log).drop()

    assert len(book.lines("partition_dropped")) == 8
    assert await one(connection, "SELECT to_regclass(%s)", (oldest,)) is not None
    assert await health.detached(connection) == [oldest]
    assert await health.overdue(connection) == []


async def test_a_partition_that_something_depends_on_stays_and_is_complained_of(
    connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    oldest = (await names(connection))[0]
    await connection.execute(f"CREATE VIEW mine AS SELECT count(*) FROM {oldest}".encode())

    with pytest.raises(TransientError, match=f"cannot drop table {oldest} because"):
        await PartitionChores(partitions=PartitionStore(pool), log=LogBook().log).drop()

    assert oldest in await health.overdue(connection)


async def test_a_day_that_a_wider_partition_reaches_gets_none_of_its_own(
    connection: Connection, conninfo: str, pool: Pool
) -> None:
    cursor = await connection.execute(_NAMES, (HEARTBEATS,))
    for (name,) in await cursor.fetchall():
        await connection.execute(f"DROP TABLE {name}".encode())
    await connection.execute("CREATE TABLE before_us (LIKE heartbeats INCLUDING ALL)")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    attach = (
        "ALTER TABLE heartbeats ATTACH PARTITION before_us"
        f" FOR VALUES FROM (MINVALUE) TO ('{tomorrow} 00:00:00+00')"
    )
    await connection.execute(attach.encode())

    assert await without_today(connection) == []
    made = await PartitionStore(pool).ensure(HEARTBEATS)
    state = await heartbeats_state(connection)
    writer = await ingesting(conninfo)
    await writer.send(10, days_ago=(0, 1, 200))
    await writer.connection.close()

    assert made == [day(-n) for n in range(1, 8)]
    assert (state.days_ahead, state.partitions, state.last_day) == (
        7,
        8,
        tomorrow + timedelta(days=6),
    )
    assert (writer.sent, writer.aside) == (10, [])
    assert (await PartitionStore(pool).drop_expired(HEARTBEATS)).outcome is Dropping.NONE


async def test_heartbeats_are_stored_while_somebody_works_on_an_old_day(
    conninfo: str, connection: Connection
) -> None:
    writer = await ingesting(conninfo)
    await connection.execute("BEGIN")
    await connection.execute(f"LOCK TABLE {day(1)} IN ACCESS EXCLUSIVE MODE".encode())

    async with asyncio.timeout(30):
        await writer.send(10)
        await writer.send(10, days_ago=(100,))

    await connection.execute("ROLLBACK")
    await writer.connection.close()
    assert (writer.sent, writer.aside) == (10, ["no partition for its day"] * 10)


async def test_the_days_ahead_end_at_the_first_gap(connection: Connection) -> None:
    query = "SELECT partition_days_ahead('heartbeats')"

    whole = await one(connection, query)
    await connection.execute(f"DROP TABLE {day(-3)}".encode())
    cut_short = await one(connection, query)
    await connection.execute(f"DROP TABLE {day(0)}".encode())

    assert (whole, cut_short, await one(connection, query)) == (7, 2, -1)
    assert await without_today(connection) == [HEARTBEATS]


async def test_nothing_is_lost_while_partitions_are_made_and_dropped_under_a_writer(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await connection.execute(_OLD, (40,))
    await connection.execute(_KEEP_HEARTBEATS, (60,))
    book, writer = LogBook(), await ingesting(conninfo)
    chores = PartitionChores(partitions=PartitionStore(pool), log=book.log, first_pause_s=0.05)

    async def work() -> None:
        async with reading(conninfo):
            await connection.execute(_KEEP_HEARTBEATS, (30,))
            dropping = asyncio.create_task(chores.drop())
            for ahead in range(8, 14):
                await connection.execute(_READY_AHEAD, (ahead,))
                await chores.make()
            while not book.lines("retention_delayed"):
                await asyncio.sleep(0.01)
        await dropping

    working = asyncio.create_task(work())
    while not working.done():
        await writer.send(20, days_ago=(0, 1, -1))
    await working
    await writer.connection.close()

    stored = await one(connection, "SELECT count(*) FROM api_heartbeats WHERE agent_id = 1")
    assert (stored, writer.aside) == (writer.sent, [])
    assert len(book.lines("partition_dropped")) == 9
    assert len(book.lines("partitions_made")) == 6


async def test_a_table_is_kept_as_long_as_it_is_told(connection: Connection) -> None:
    await keep(connection, HEARTBEATS, 60)
    longer = await heartbeats_state(connection)
    await keep(connection, "heartbeats_1h", None)
    await keep(connection, "heartbeats_5m", None)
    await keep(connection, HEARTBEATS, None)
    forever = await heartbeats_state(connection)

    assert (longer.keep_days, forever.keep_days) == (60, None)
    with pytest.raises(FatalError, match="must be kept for at least 2 days, not 1"):
        await keep(connection, HEARTBEATS, 1)
    with pytest.raises(FatalError, match="it can be set for heartbeat_evidence, heartbeats, "):
        await keep(connection, "agents", 10)


async def test_what_sums_up_is_kept_at_least_as_long_as_its_source(
    connection: Connection,
) -> None:
    summed = "heartbeats_5m"
    with pytest.raises(FatalError, match=f"{summed} must be kept at least as long as heartb"):
        await keep(connection, summed, 29)
    with pytest.raises(FatalError, match=rf"change {summed} first \(it is kept 90 days\)"):
        await keep(connection, HEARTBEATS, 91)
    with pytest.raises(FatalError, match=f"change {summed} first"):
        await keep(connection, HEARTBEATS, None)
    await keep(connection, "heartbeats_1h", None)
    await keep(connection, summed, None)
    await keep(connection, HEARTBEATS, None)


async def test_what_is_in_no_partition_goes_when_it_is_too_old(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO api_heartbeats_set_aside (received_at, datacenter_id, reason, payload)"
        " SELECT now() - n * interval '1 day', 1, 'odd', n::text"
        " FROM generate_series(1, 100, 10) n"
    )
    await connection.execute(
        "INSERT INTO agent_terms (datacenter_id, term, holder, started_at)"
        " SELECT 1, t, gen_random_uuid(), now() - (5 - t) * interval '400 days'"
        " FROM generate_series(1, 5) t"
    )
    gone = await one(connection, "SELECT history_expire()")
    again = await one(connection, "SELECT history_expire()")
    terms = await connection.execute("SELECT term FROM agent_terms ORDER BY term")

    # Term 3 went on until term 4 began, 400 days ago.
    assert await terms.fetchall() == [(3,), (4,), (5,)]
    assert await one(connection, "SELECT count(*) FROM api_heartbeats_set_aside") == 9
    assert (gone, again) == (3, 0)
