"""Percentiles from histograms: near the exact ones, over any datacenters, of any phase."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rollups import HOUR, add_monitor, every, insert, led_since, roll
from uptimeo.storage.database import Connection

WITHIN = 0.025
# Of two histograms that are merged, and exactly.
QUANTILES = """
WITH counted AS (
    SELECT half, latency_bucket(v) AS b, count(*) AS n
    FROM (SELECT 1 AS half, unnest(%(one)s::float8[]) AS v
          UNION ALL SELECT 2, unnest(%(two)s::float8[])) x GROUP BY 1, 2
), hists AS (
    SELECT half, array_agg(latency_pack(b, n) ORDER BY b) AS hist FROM counted GROUP BY 1
)
SELECT latency_quantile(latency_merge(
           (SELECT hist FROM hists WHERE half = 1),
           (SELECT hist FROM hists WHERE half = 2)), %(q)s),
       (SELECT percentile_disc(%(q)s) WITHIN GROUP (ORDER BY v) FROM unnest(%(all)s::float8[]) v)
"""
latencies = st.floats(math.log(1.0), math.log(60_000.0)).map(math.exp)


@pytest.fixture
def database(migrated: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(migrated, autocommit=True) as connection:
        yield connection


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(latencies, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_two_and_a_half_per_cent(
    database: psycopg.Connection[Any], values: list[float], quantile: float
) -> None:
    row = database.execute(
        QUANTILES, {"one": values[::2], "two": values[1::2], "all": values, "q": quantile}
    ).fetchone()

    assert row is not None
    found, exact = row
    assert abs(found - exact) <= WITHIN * exact


@given(bucket=st.integers(0, 600), count=st.integers(1, 2**40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bucket_and_its_count_come_back(
    database: psycopg.Connection[Any], bucket: int, count: int
) -> None:
    row = database.execute(
        "SELECT bucket, n FROM latency_unpack(ARRAY[latency_pack(%s, %s)])", (bucket, count)
    ).fetchone()

    assert row == (bucket, min(count, 2**20 - 1))


async def test_percentiles_are_of_the_window_the_phase_and_the_datacenters_asked_for(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)
    for place, ms in ((1, 100.0), (2, 1000.0)):
        await led_since(connection, HOUR, place)
        await insert(connection, monitor, every(60, 60), place=place, ms=ms)
    await insert(
        connection, monitor, every(60, 3, HOUR + timedelta(seconds=7)), status="down", ms=1
    )
    await roll(connection)
    call = "SELECT ms, checks FROM latency_percentiles(%s, %s, %s, %s, %s, '{0.25,0.75}')"
    window = (monitor, HOUR, HOUR + timedelta(hours=1))

    async def ask(phase: str, places: list[int] | None) -> list[tuple[Any, ...]]:
        return await (await connection.execute(call, (*window, phase, places))).fetchall()

    both, first, wait, none = (
        await ask("total", None),
        await ask("total", [1]),
        await ask("wait", None),
        await ask("tls", None),
    )
    assert [count for _, count in both] == [120, 120]
    assert [ms for ms, _ in both] == pytest.approx([100, 1000], rel=WITHIN)
    assert [ms for ms, _ in first] == pytest.approx([100, 100], rel=WITHIN)
    assert [ms for ms, _ in wait] == pytest.approx([50, 500], rel=WITHIN)
    assert none == [(None, 0), (None, 0)]


async def test_a_phase_that_is_none_is_refused(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="there is no phase 'ssl'"):
        await connection.execute("SELECT * FROM latency_percentiles(1, now(), now(), 'ssl')")
