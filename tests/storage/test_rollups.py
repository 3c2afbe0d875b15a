"""Heartbeats become rows of five minutes, an hour, a day, and lose nothing on the way."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from tests.support.rollups import (
    FIVE,
    HOUR,
    add_monitor,
    differences,
    every,
    figures,
    insert,
    led_since,
    roll,
)
from uptimeo.storage.database import Connection, connect, one

DAY = timedelta(days=1)


async def test_a_bucket_has_counts_time_and_latency(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 3))
    await insert(connection, monitor, [HOUR + timedelta(minutes=3)], status="down", ms=9.0)
    await insert(connection, monitor, [HOUR + timedelta(minutes=4)], details='{"lag_ms": 30}')

    await roll(connection)

    counts = await figures(connection, monitor, "checks, up, down, attempts, expected")
    times = await figures(connection, monitor, "up_ms, down_ms, missing_ms")
    latency = await figures(
        connection, monitor, "total_sum_ms, total_max_ms, latency_count(total_hist), wait_sum_ms"
    )
    assert counts == (5, 4, 1, 5, 5)
    assert times == (240_000, 60_000, 0)
    assert latency == (300.0, 100.0, 3, 150.0)
    assert await differences(connection) == []


async def test_an_hour_is_the_sum_of_its_parts(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    for place in (1, 2):
        await insert(connection, monitor, every(60, 30), place=place, ms=50.0)
        await insert(connection, monitor, every(60, 60), place=place, status="degraded", ms=500.0)

    await roll(connection)

    row = await figures(
        connection,
        monitor,
        "up_ms, degraded_ms, checks, total_sum_ms, total_min_ms, total_max_ms,"
        " latency_count(total_hist), cardinality(total_hist)",
        level="1h",
    )
    assert row == (1_800_000, 1_800_000, 60, 16_500.0, 50.0, 500.0, 60, 2)
    assert await differences(connection) == []


async def test_a_day_that_has_passed_is_the_sum_of_its_hours(connection: Connection) -> None:
    monitor = await add_monitor(connection, interval_s=3600)
    midnight = HOUR.replace(hour=0) - DAY
    await led_since(connection, midnight)
    await insert(connection, monitor, every(3600, 20, midnight))

    await roll(connection)

    row = await figures(
        connection, monitor, "up_ms, missing_ms, checks, expected", midnight, level="1d"
    )
    assert row == (72_000_000, 14_400_000, 20, 24)


async def test_a_late_heartbeat_changes_every_level(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 59))
    await roll(connection)
    before = await figures(connection, monitor, "checks, missing_ms", level="1h")

    await insert(connection, monitor, [HOUR + timedelta(minutes=59)])
    await roll(connection)

    assert before == (59, 60_000)
    assert await figures(connection, monitor, "checks, missing_ms", level="1h") == (60, 0)
    assert await differences(connection) == []


async def test_what_is_sent_again_changes_nothing(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 60))
    await roll(connection)
    version = "SELECT array_agg(xmin::text ORDER BY bucket) FROM heartbeats_5m"
    before = await one(connection, version)

    await insert(connection, monitor, every(60, 60))
    await roll(connection)

    assert await one(connection, version) == before


async def test_a_bucket_is_not_rolled_up_before_its_last_heartbeat_can_be_there(
    connection: Connection,
) -> None:
    await add_monitor(connection)
    await led_since(connection, HOUR)

    await roll(connection)

    rolled = "SELECT rolled_until <= now() - interval '30 s' FROM rollup_progress WHERE level = 5"
    assert await one(connection, rolled) is True
    assert await one(connection, "SELECT rollup_waiting(5)") == 0


async def test_a_datacenter_without_a_heartbeat_has_rows_that_say_so(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await connection.execute(
        "UPDATE agent_terms SET released_at = %s", (HOUR + timedelta(minutes=7),)
    )

    await roll(connection)

    times = "missing_ms, no_leader_ms, expected"
    assert await figures(connection, monitor, times) == (300_000, 0, 5)
    assert await figures(connection, monitor, times, HOUR + FIVE) == (120_000, 180_000, 5)
    assert await figures(connection, monitor, times, HOUR + 2 * FIVE) == (0, 300_000, 5)


async def test_a_lease_that_ran_out_and_was_taken_leaves_a_gap_without_a_leader(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await connection.execute(
        "UPDATE agent_leases SET expires_at = %s", (HOUR + timedelta(seconds=90),)
    )
    await connection.execute(
        "SELECT lease_ask(1, gen_random_uuid(), 'other', interval '1 h', 1, 0, true)"
    )

    await roll(connection)

    times = await figures(connection, monitor, "missing_ms, no_leader_ms")
    assert times == (90_000, 210_000)


@pytest.mark.parametrize("interval_s", [3600, 86_400])
async def test_a_long_interval_covers_later_buckets(
    connection: Connection, interval_s: int
) -> None:
    monitor = await add_monitor(connection, interval_s)
    await led_since(connection, HOUR - DAY)
    await insert(connection, monitor, [HOUR - timedelta(seconds=interval_s - 60)], status="down")
    await insert(connection, monitor, [HOUR + timedelta(seconds=150)])

    await connection.execute("SELECT rollup(5, 1, b) FROM unnest(%s) b", ([HOUR, HOUR + FIVE],))

    times = "down_ms, up_ms, missing_ms, checks"
    assert await figures(connection, monitor, times) == (60_000, 150_000, 90_000, 1)
    assert await figures(connection, monitor, times, HOUR + FIVE) == (0, 300_000, 0, 0)


async def test_a_late_heartbeat_of_a_long_interval_reaches_every_bucket_it_covers(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection, interval_s=3600)
    await led_since(connection, HOUR)
    await roll(connection)

    await insert(connection, monitor, [HOUR])
    await roll(connection)

    up = "SELECT count(*) FROM heartbeats_5m WHERE up_ms = 300000"
    assert await one(connection, up) == 12
    assert await differences(connection) == []


async def test_maintenance_that_is_entered_late_counts(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 60), status="down")
    await roll(connection)

    await connection.execute(
        "INSERT INTO maintenance_windows (monitor_id, starts_at, ends_at, reason)"
        " VALUES (%s, %s, %s, 'works')",
        (monitor, HOUR + timedelta(minutes=4), HOUR + timedelta(minutes=6)),
    )
    await roll(connection)
    during = await figures(connection, monitor, "maintenance_ms, down_ms", level="1h")
    await connection.execute("DELETE FROM maintenance_windows")
    await roll(connection)

    assert during == (120_000, 3_480_000)
    assert await figures(connection, monitor, "maintenance_ms, down_ms", level="1h") == (
        0,
        3_600_000,
    )


async def test_heartbeats_of_a_monitor_and_a_datacenter_nobody_knows_are_counted(
    connection: Connection,
) -> None:
    await insert(connection, 4711, every(60, 60), place=99)

    await roll(connection)

    assert await one(connection, "SELECT sum(checks) FROM heartbeats_5m") == 60
    assert await one(connection, "SELECT sum(not_scheduled_ms) FROM heartbeats_1h") == 3_600_000


async def test_nonsense_among_the_figures_stops_nothing(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    for second, ms in enumerate((float("nan"), float("inf"), -5.0, 0.0, 3.0e30)):
        await insert(connection, monitor, [HOUR + timedelta(seconds=second)], ms=ms)

    await roll(connection)

    latency = "checks, latency_count(total_hist), total_sum_ms"
    assert await figures(connection, monitor, latency) == (5, 1, 0.0)


async def test_what_was_rolled_up_outlives_its_heartbeats(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 60))
    await roll(connection)
    days = {HOUR.strftime("%Y%m%d"), (HOUR + timedelta(hours=1)).strftime("%Y%m%d")}
    for day in days:
        await connection.execute(f"TRUNCATE heartbeats_{day}".encode())

    await connection.execute("SELECT rollup_mark(%s, now(), NULL)", (HOUR,))
    await roll(connection)

    assert await figures(connection, monitor, "checks, up_ms", level="1h") == (60, 3_600_000)


async def test_a_roller_refuses_to_work_on_an_old_snapshot(connection: Connection) -> None:
    await connection.execute("SET default_transaction_isolation = 'repeatable read'")

    with pytest.raises(Exception, match="READ COMMITTED"):
        await connection.execute("SELECT rollup_step(5, 1)")


async def test_a_heartbeat_that_is_committed_behind_the_roller_is_rolled_up(
    conninfo: str, connection: Connection
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await roll(connection)
    await insert(connection, monitor, every(60, 1))

    async with await connect(conninfo) as writer:
        async with writer.transaction():
            await insert(writer, monitor, every(60, 2))
            await roll(connection)
        await roll(connection)

    assert await figures(connection, monitor, "checks") == (2,)


async def test_a_heartbeat_waits_for_the_roller_that_does_not_see_it(
    conninfo: str, connection: Connection
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await roll(connection)
    await insert(connection, monitor, every(60, 1))

    async with await connect(conninfo) as writer:
        async with connection.transaction():
            await connection.execute("SELECT rollup_step(5, 1000)")
            late = asyncio.create_task(insert(writer, monitor, every(60, 2)))
            await _waits(conninfo, writer.info.backend_pid, late)
        await late
    await roll(connection)

    assert await figures(connection, monitor, "checks") == (2,)


async def _waits(conninfo: str, pid: int, work: "asyncio.Task[Any]") -> None:
    """Return when that session waits for a lock; a failure if its work ends before."""
    async with await connect(conninfo) as watcher:
        waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        while not await one(watcher, waiting, (pid,)):
            assert not work.done()
            await asyncio.sleep(0.01)


async def test_two_rollers_that_need_the_same_partition_make_one(
    conninfo: str, connection: Connection
) -> None:
    make = "SELECT partition_for('heartbeats_5m', now() - interval '60 days')"
    count = "SELECT count(*) FROM partition_bounds('heartbeats_5m')"
    before = await one(connection, count)

    async with await connect(conninfo) as other:
        async with connection.transaction():
            await connection.execute(make)
            late = asyncio.create_task(other.execute(make))
            await _waits(conninfo, other.info.backend_pid, late)
        await late

    assert await one(connection, count) == before + 1


async def test_writers_and_rollers_at_once_lose_nothing(
    conninfo: str, connection: Connection
) -> None:
    monitors = [await add_monitor(connection, 1) for _ in range(4)]
    await led_since(connection, HOUR)
    await roll(connection)
    done = asyncio.Event()

    async def write(monitor: int) -> None:
        seed = random.Random(monitor)
        slots = every(1, 600)
        seed.shuffle(slots)
        async with await connect(conninfo) as own:
            for begin in range(0, 600, 10):
                # One batch in five is sent again.
                for _ in range(1 + (seed.random() < 0.2)):
                    async with own.transaction():
                        await insert(own, monitor, slots[begin : begin + 10])
                        await own.execute("SELECT 1")

    async def keep_rolling() -> None:
        async with await connect(conninfo) as own:
            while not done.is_set():
                for level in (5, 60):
                    await own.execute("SELECT rollup_step(%s, 4)", (level,))

    rollers = [asyncio.create_task(keep_rolling()) for _ in range(2)]
    await asyncio.gather(*(write(monitor) for monitor in monitors))
    done.set()
    await asyncio.gather(*rollers)
    await roll(connection)

    counted = await one(connection, "SELECT sum(checks) FROM heartbeats_5m")
    timed = await one(connection, "SELECT sum(latency_count(total_hist)) FROM heartbeats_1h")
    assert (counted, timed) == (2400, 2400)
    assert await differences(connection) == []
