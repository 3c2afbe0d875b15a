"""Uptime of a window: put together from days, hours and five minutes, exact, never flattering."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.rows import dict_row

from tests.support.rollups import FIVE, HOUR, add_monitor, every, insert, led_since, roll
from uptimeo.storage.database import Connection, one

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
KINDS = (
    *("up", "degraded", "critical", "down", "maintenance"),
    *("unknown", "no_leader", "missing", "not_scheduled"),
)


async def uptime(
    connection: Connection, call: str, *parameters: Any, **where: Any
) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(f"SELECT * FROM {call}".encode(), parameters or None)
    rows = await cursor.fetchall()
    for row in rows:
        assert sum(row[f"{kind}_ms"] for kind in KINDS) == row["window_ms"]
        length = (row["window_end"] - row["window_start"]) / timedelta(milliseconds=1)
        assert row["window_ms"] == length * len(row["datacenters"])
    return rows


async def test_a_window_tells_each_kind_coverage_and_uptime(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 6))
    await insert(connection, monitor, every(60, 2, HOUR + 6 * MINUTE), status="down")
    await insert(connection, monitor, every(60, 1, HOUR + 8 * MINUTE), status="unknown")
    await roll(connection)

    (row,) = await uptime(
        connection, "uptime(%s, %s, %s)", monitor, HOUR + MINUTE, HOUR + 9 * MINUTE
    )

    assert (row["window_start"], row["window_end"]) == (HOUR, HOUR + 2 * FIVE)
    assert (row["up_ms"], row["down_ms"]) == (360_000, 120_000)
    assert (row["unknown_ms"], row["missing_ms"]) == (60_000, 60_000)
    assert (row["checks"], row["expected"]) == (9, 10)
    assert row["coverage"] == Decimal("0.8")
    assert row["uptime"] == Decimal("0.75")
    assert row["uptime_gaps_down"] == Decimal("0.6")


async def test_a_moment_of_down_is_never_rounded_away(connection: Connection) -> None:
    assert await one(connection, "SELECT uptime_share(99999999999999, 100000000000000)") < 1
    assert await one(connection, "SELECT uptime_share(2, 3)") == Decimal("0.666666")
    assert await one(connection, "SELECT uptime_share(5, 5)") == 1
    assert await one(connection, "SELECT uptime_share(0, 0)") is None


async def test_several_datacenters_are_summed_and_can_be_told_apart(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    for place, status in ((1, "up"), (2, "down"), (3, "up")):
        await led_since(connection, HOUR, place)
        await insert(connection, monitor, every(60, 60), place=place, status=status)
    await roll(connection)
    window = (monitor, HOUR, HOUR + 12 * FIVE)

    (together,) = await uptime(connection, "uptime(%s, %s, %s)", *window)
    (chosen,) = await uptime(connection, "uptime(%s, %s, %s, '{1,3}')", *window)
    apart = await uptime(connection, "uptime_by_datacenter(%s, %s, %s)", *window)
    every_monitor = await uptime(connection, "uptimes(%s, %s)", *window[1:])

    assert (together["datacenters"], together["uptime"]) == ([1, 2, 3], Decimal("0.666666"))
    assert (chosen["datacenters"], chosen["uptime"]) == ([1, 3], 1)
    assert [(row["datacenters"], row["uptime"]) for row in apart] == [([1], 1), ([2], 0), ([3], 1)]
    assert every_monitor == [together]


async def test_days_hours_and_five_minutes_agree(connection: Connection) -> None:
    monitor = await add_monitor(connection, interval_s=3600)
    midnight = HOUR.replace(hour=0) - DAY
    await connection.execute("SELECT partition_for('heartbeats', %s)", (midnight - DAY,))
    await led_since(connection, midnight - 2 * FIVE)
    await insert(connection, monitor, every(3600, 20, midnight + 3 * FIVE))
    await insert(connection, monitor, every(3600, 3, midnight + timedelta(hours=21)), status="down")
    await roll(connection)
    window = (midnight - FIVE, midnight + DAY + 7 * FIVE)

    (row,) = await uptime(connection, "uptime(%s, %s, %s)", monitor, *window)
    fine = await one(
        connection,
        "SELECT array[sum(up_ms), sum(down_ms), sum(missing_ms)] FROM heartbeats_5m"
        " WHERE datacenter_id = 1 AND bucket >= %s AND bucket < %s",
        window,
    )
    levels = await one(
        connection,
        "SELECT array_agg(extract(epoch FROM piece)::int) FROM ("
        " SELECT unnest(array[hours_from - window_start, days_from - hours_from,"
        "  days_to - days_from, hours_to - days_to, window_end - hours_to]) AS piece"
        " FROM rollup_window(%s, %s, '{1}')) x",
        window,
    )

    assert levels == [300, 0, 86_400, 0, 2100]
    assert [row["up_ms"], row["down_ms"], row["missing_ms"]] == fine


async def test_the_window_ends_where_the_roller_is(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await connection.execute("SELECT rollup_step(5, 3)")

    (row,) = await uptime(connection, "uptime(%s, %s, now())", monitor, HOUR)

    assert row["window_end"] == HOUR + 3 * FIVE


async def test_where_only_hours_are_left_the_ends_are_those_of_hours(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 60))
    await roll(connection)
    cursor = await connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'heartbeats_5m'::regclass"
    )
    for (name,) in await cursor.fetchall():
        await connection.execute(f"DROP TABLE {name}".encode())
    await connection.execute("SELECT partition_for('heartbeats_5m', now() + interval '7 days')")

    (row,) = await uptime(connection, "uptime(%s, %s, %s)", monitor, HOUR + FIVE, HOUR + 2 * FIVE)

    assert (row["window_start"], row["window_end"]) == (HOUR, HOUR + 12 * FIVE)
    assert row["up_ms"] == 3_600_000


async def test_a_monitor_that_was_moved_or_switched_off_had_nothing_to_do_there(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, monitor, every(60, 60))
    await connection.execute("DELETE FROM monitor_duty")
    await connection.execute(
        "INSERT INTO monitor_duty VALUES (%(m)s, '-infinity', 60, '{1}'),"
        " (%(m)s, %(moved)s, 60, '{2}'), (%(m)s, %(back)s, 60, NULL), (%(m)s, %(off)s, NULL, NULL)",
        {
            "m": monitor,
            "moved": HOUR + FIVE,
            "back": HOUR + 2 * FIVE,
            "off": HOUR + 4 * FIVE,
        },
    )
    await roll(connection)

    (row,) = await uptime(connection, "uptime(%s, %s, %s, '{1}')", monitor, HOUR, HOUR + 12 * FIVE)

    assert (row["up_ms"], row["not_scheduled_ms"]) == (900_000, 2_700_000)
    assert (row["coverage"], row["uptime"]) == (1, 1)


async def test_a_day_is_one_of_utc_whatever_the_session_thinks(connection: Connection) -> None:
    await add_monitor(connection)
    spring = datetime(2026, 3, 8, tzinfo=UTC)  # the day on which New York skips an hour
    await led_since(connection, HOUR)
    await roll(connection)

    answers = []
    for zone in ("UTC", "America/New_York"):
        await connection.execute(f"SET timezone = '{zone}'".encode())
        cursor = await connection.execute(
            "SELECT rollup_bucket(1440, %s), rollup_ceiling(1440, %s), rollup_bucket(60, %s),"
            " partitions_begin('heartbeats_1h')",
            (spring + timedelta(hours=8), spring + timedelta(hours=8), spring),
        )
        row = await cursor.fetchone()
        assert row is not None
        answers.append([moment.astimezone(UTC) for moment in row])

    assert answers[0] == answers[1]
    assert answers[0][:3] == [spring, spring + DAY, spring]


@pytest.mark.parametrize("window", ["now(), now() - interval '1 s'", "'-infinity', now()"])
async def test_a_window_needs_two_ends(connection: Connection, window: str) -> None:
    with pytest.raises(Exception, match="a window needs a start and an end"):
        await connection.execute(f"SELECT * FROM uptime(1, {window})".encode())
