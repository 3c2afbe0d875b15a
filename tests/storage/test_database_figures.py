"""What `make bench-db` does at length, in small: all that does not depend on the machine."""

from datetime import timedelta

from tests.evidence import (
    database_adoption,
    database_answers,
    database_partitions,
    database_rollups,
)
from tests.evidence.database_figures import Scale
from tests.support.history import History, configure, fill
from tests.support.kept_rollups import Copy, copy, roll
from tests.support.rollups import HOUR, differences
from uptimeo.storage.database import Connection, one

_SEEN = """
SELECT count(*), count(DISTINCT (monitor_id, datacenter_id)),
       count(*) FILTER (WHERE status = 'up' AND success AND term = 1 AND attempts = 1
           AND executed_at = (scheduled_at AT TIME ZONE 'UTC') + interval '2 ms'
           AND abs(transfer_ms - response_time_ms + time_to_first_byte_ms) < 0.01)
FROM api_heartbeats
"""
_CHECKS = "SELECT sum(checks)::int FROM {} WHERE bucket >= %s AND bucket < %s + interval '1 day'"


async def test_history_is_heartbeats_that_the_roller_counts_and_that_are_copied_back(
    conninfo: str, connection: Connection
) -> None:
    history = History(start=HOUR, end=HOUR + timedelta(hours=1), monitors=4, datacenters=2)
    monitors = await configure(connection, history)

    filled = await fill(conninfo, history, connections=2)
    await roll(conninfo, history.start, rollers=2)
    midnight = HOUR.replace(hour=0)
    copies = [Copy("heartbeats_1h", 3), Copy("heartbeats_5m", 80)]
    await copy(conninfo, midnight, copies, connections=2)

    row = await (await connection.execute(_SEEN)).fetchone()
    assert row is not None
    assert (row[0], row[1]) == (filled, 8)
    assert filled * 0.98 < row[2] <= filled
    assert 950 < filled <= 960
    assert await differences(connection) == []
    for each in copies:
        day = midnight - timedelta(days=each.days_back)
        assert await one(connection, _CHECKS.format(each.table), (day, day)) == filled
    for question in database_answers.QUESTIONS:
        figures = await database_answers.ask(connection, question, monitors, history.end)
        assert [figure.value > 0 for figure in figures] == [True] * 4


async def test_percentiles_of_rollups_are_near_those_of_heartbeats(conninfo: str) -> None:
    figures = await database_rollups.measure(conninfo, Scale(monitors=5))

    assert [figure for figure in figures if not figure.good] == []
    assert figures[-1].value == 50


async def test_partitions_cost_no_row_while_a_report_reads(conninfo: str) -> None:
    figures = await database_partitions.measure(conninfo, Scale(report_s=1))

    # But for the wait, which is one of this machine at this moment.
    assert [figure for figure in figures[1:] if not figure.good] == []


async def test_an_adoption_is_accounted_for(empty_database: str) -> None:
    figures = await database_adoption.measure(empty_database, Scale(rows=2000, kills=0))

    assert [figure for figure in figures if not figure.good] == []
