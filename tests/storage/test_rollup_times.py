"""Time adds up: whatever arrives in whatever order, each ms of a bucket is of one kind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.timeline import KINDS, Beat, Duty, World

MINUTE = 60_000
BUCKET = 5 * MINUTE
HORIZON = 30 * MINUTE
# Two hours ago: closed, and in a partition that is there.
BASE = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
PLACES = (1, 2)
STATUSES = ("up", "degraded", "critical", "down", "unknown")
RESET = """
TRUNCATE heartbeats, monitor_duty, maintenance_windows, agent_terms, agent_leases,
         rollup_dirty, rollup_progress, heartbeats_5m, heartbeats_1h, heartbeats_1d
"""
SLOW = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

moments = st.integers(-2 * BUCKET, HORIZON)
inside = st.integers(0, HORIZON)
stretches = st.tuples(inside, inside).filter(lambda pair: pair[0] < pair[1])
intervals = st.one_of(
    st.none(), st.sampled_from([1, 7, 30, 60, 299, 300, 301, 900, 3600, 86_400])
).map(lambda seconds: None if seconds is None else seconds * 1000)
beats = st.lists(
    st.builds(Beat, moments, st.sampled_from(STATUSES)),
    max_size=30,
    unique_by=lambda beat: beat.slot,
)
duties = st.tuples(
    intervals, st.lists(st.builds(Duty, inside, intervals), max_size=3, unique_by=lambda d: d.since)
).map(lambda parts: [Duty(None, parts[0]), *parts[1]])


@st.composite
def leaderships(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Terms one after the other, the first anywhere, also before the horizon."""
    edges = sorted(
        draw(st.lists(st.integers(-BUCKET, HORIZON), min_size=2, max_size=6, unique=True))
    )
    return list(zip(edges[::2], edges[1::2], strict=False))


@pytest.fixture
def database(migrated: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute("SELECT partitions_ensure('heartbeats')")
        connection.execute("INSERT INTO datacenters (code, name) VALUES ('A', 'a'), ('B', 'b')")
        connection.execute("INSERT INTO api_monitors (id, name, url) VALUES (7, 'm', 'http://h/')")
        yield connection


def at(moment: int) -> datetime:
    return BASE + timedelta(milliseconds=moment)


def tell(database: psycopg.Connection[Any], world: World, place: int = 1) -> None:
    """Write the world down, but for its heartbeats."""
    for duty in world.duties:
        moment = "-infinity" if duty.since is None else at(duty.since).isoformat()
        seconds = None if duty.interval_ms is None else duty.interval_ms // 1000
        database.execute("INSERT INTO monitor_duty VALUES (7, %s, %s, NULL)", (moment, seconds))
    for since, until in world.maintenance:
        database.execute(
            "INSERT INTO maintenance_windows (datacenter_id, starts_at, ends_at, reason)"
            " VALUES (%s, %s, %s, 'works')",
            (place, at(since), at(until)),
        )
    for term, (since, until) in enumerate(world.led, start=1):
        database.execute(
            "INSERT INTO agent_terms (datacenter_id, term, holder, started_at, released_at)"
            " VALUES (%s, %s, gen_random_uuid(), %s, %s)",
            (place, term, at(since), at(until)),
        )


def insert(database: psycopg.Connection[Any], sent: list[Beat], place: int = 1) -> None:
    """As a writer does that knows none of our functions."""
    if sent:
        database.cursor().executemany(
            "INSERT INTO api_heartbeats (monitor_id, datacenter_id, scheduled_at, executed_at,"
            " status, success, response_time_ms) SELECT 7, p, t, now(), s, ok, ms"
            " FROM (VALUES (%s::int, %s::timestamptz, %s, %s, %s::real)) v (p, t, s, ok, ms)"
            " WHERE NOT EXISTS (SELECT FROM heartbeats WHERE monitor_id = 7"
            "     AND datacenter_id = p AND scheduled_at = t)",
            [
                (place, at(b.slot), b.status, b.status not in ("down", "unknown"), b.slot % 997 + 1)
                for b in sent
            ],
        )


def roll_all(database: psycopg.Connection[Any]) -> None:
    for level in (5, 60, 1440):
        while database.execute("SELECT rollup_step(%s, 1000)", (level,)).fetchone() != (0,):
            pass


def rolled(database: psycopg.Connection[Any]) -> dict[int, dict[str, int]]:
    """The kinds of time of each bucket, by its beginning in ms."""
    cursor = database.execute(
        f"SELECT bucket, {', '.join(KINDS)} FROM heartbeats_5m WHERE monitor_id = 7"
    )
    return {
        round((bucket - BASE) / timedelta(milliseconds=1)): dict(zip(KINDS, times, strict=True))
        for bucket, *times in cursor.fetchall()
    }


@SLOW
@given(beats, duties, st.lists(stretches, max_size=2), leaderships())
def test_each_ms_of_a_bucket_is_of_the_kind_that_the_rules_say(
    database: psycopg.Connection[Any],
    seen: list[Beat],
    due: list[Duty],
    works: list[tuple[int, int]],
    led: list[tuple[int, int]],
) -> None:
    world = World(due, seen, works, led)
    database.execute(RESET)
    tell(database, world)
    insert(database, seen)

    for begin in range(0, HORIZON, BUCKET):
        database.execute("SELECT rollup(5, 1, %s)", (at(begin),))

    found = rolled(database)
    for begin in range(0, HORIZON, BUCKET):
        expected = world.kinds(begin, begin + BUCKET)
        if begin in found:
            assert found[begin] == expected
            assert sum(found[begin].values()) == BUCKET
        else:
            assert expected["not_scheduled_ms"] == BUCKET or begin + BUCKET <= led[0][0]


@SLOW
@given(beats, duties, leaderships(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(
    database: psycopg.Connection[Any],
    seen: list[Beat],
    due: list[Duty],
    led: list[tuple[int, int]],
    random: Any,
) -> None:
    database.execute(RESET)
    tell(database, World(due, seen, [], led))
    # Rolled up to the end of the horizon before anything arrives: all of it is late.
    database.execute("INSERT INTO rollup_progress VALUES (5, 1, %s)", (at(0),))
    database.execute("SELECT rollup_forward(5, 1, %s)", (HORIZON // BUCKET,))
    shuffled = random.sample(seen, len(seen))
    for size in (3, 5, 30):
        insert(database, shuffled[:size])
        database.execute("SELECT rollup_again(5, 1000)")

    differences = database.execute(
        "SELECT level, bucket, what, raw, rolled FROM rollup_differences(%s, %s)",
        (at(0), at(HORIZON)),
    ).fetchall()
    counted = database.execute(
        "SELECT coalesce(sum(checks), 0) FROM heartbeats_5m WHERE bucket >= %s", (BASE,)
    ).fetchone()
    assert differences == []
    assert counted == (sum(0 <= beat.slot < HORIZON for beat in seen),)


@SLOW
@given(beats, duties, leaderships(), stretches, stretches)
def test_the_kinds_of_any_window_add_up_to_it(
    database: psycopg.Connection[Any],
    seen: list[Beat],
    due: list[Duty],
    led: list[tuple[int, int]],
    works: tuple[int, int],
    window: tuple[int, int],
) -> None:
    world = World(due, seen, [works], led)
    database.execute(RESET)
    tell(database, world)
    insert(database, seen)
    database.execute("INSERT INTO rollup_progress VALUES (5, 1, %s)", (at(-2 * BUCKET),))
    database.execute("SELECT rollup_forward(5, 1, %s)", (HORIZON // BUCKET + 2,))

    row = database.execute(
        f"SELECT window_start, window_end, window_ms, {', '.join(KINDS)}, uptime, coverage"
        " FROM uptime(7, %s, %s, '{1}')",
        (at(window[0]), at(window[1])),
    ).fetchone()

    assert row is not None
    start, end, total, *times, uptime, coverage = row
    begin, until = window[0] // BUCKET * BUCKET, -(-window[1] // BUCKET) * BUCKET
    found = dict(zip(KINDS, times, strict=True))
    assert (start, end, total) == (at(begin), at(until), until - begin)
    assert sum(times) == total
    visited = [b for b in range(begin, until, BUCKET) if b + BUCKET > led[0][0]]
    if len(visited) * BUCKET == until - begin:
        assert found == world.kinds(begin, until)
    assert uptime is None or not found["down_ms"] or uptime < 1
    assert coverage is None or coverage <= 1
