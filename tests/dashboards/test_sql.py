"""Does each query over PostgreSQL run for whoever may only read, and answer with what its panel
shows?
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.dashboards import look
from tests.dashboards.asking import Chosen
from tests.dashboards.panels import TIMELINE, Page, Panel
from tests.docs.sql_reading import partitions_read
from tests.support import roles

# One filled database for all: a worker of its own.
pytestmark = pytest.mark.xdist_group("dashboards over PostgreSQL")
PANELS = [(page, panel) for page in look.pages() for panel in page.panels()]
IDS = [f"{page.uid.removeprefix('uptimeo-')}: {panel.title}" for page, panel in PANELS]
PAGES = list(look.pages())
_NUMBERS = ("int2", "int4", "int8", "float4", "float8", "numeric")
# Of the day on which it is 12:02, and the day before: what 24 hours can touch.
_RECENT = {"heartbeats_20260303", "heartbeats_20260304"}


@pytest.fixture(scope="module")
def connection(maintenance: str) -> Iterator[psycopg.Connection[Any]]:
    with look.reader(maintenance) as opened:
        yield opened


def asked(page: Page, text: str, hours: float | None = None) -> str:
    usual = 720 if page.since == "now-30d" else 24
    return look.chosen(hours or usual).asked(text)


def fields(cursor: psycopg.Cursor[Any]) -> dict[str, str]:
    """The type of each field, by its name."""
    types = psycopg.adapters.types
    found = {}
    for column in cursor.description or ():
        kind = types.get(column.type_code)
        found[column.name] = kind.name if kind else "text"
    return found


def test_the_reader_may_only_read(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM api_heartbeats")


@pytest.mark.parametrize(("page", "panel"), PANELS, ids=IDS)
def test_a_query_answers_with_rows_and_the_fields_that_its_panel_shows(
    connection: psycopg.Connection[Any], page: Page, panel: Panel
) -> None:
    (query,) = panel.queries

    cursor = connection.execute(asked(page, query.text).encode())
    found, rows = fields(cursor), cursor.fetchall()

    assert rows
    if query.series:
        moments = [row[0] for row in rows]
        assert next(iter(found.items())) == ("time", "timestamptz")
        assert moments == sorted(moments)
        values = {name: kind for name, kind in found.items() if name not in ("time", "metric")}
        assert set(values.values()) <= set(_NUMBERS)
    elif panel.kind == "stat":
        assert len(rows) == 1
        assert set(found) == set(panel.columns)
        assert set(found.values()) <= set(_NUMBERS)
    elif not panel.transformations:
        assert set(found) == set(panel.columns)


@pytest.mark.parametrize(("page", "panel"), [each for each in PANELS if each[1].transformations])
def test_a_transformation_names_fields_that_are_there(
    connection: psycopg.Connection[Any], page: Page, panel: Panel
) -> None:
    (query,) = panel.queries
    cursor = connection.execute(asked(page, query.text).encode())
    found = set(fields(cursor))

    for each in panel.transformations:
        options = each["options"]
        named = [value for key, value in options.items() if key.endswith("Field")]
        assert {*named, *options.get("fields", ())} <= found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_choices_and_marks_are_found(connection: psycopg.Connection[Any], page: Page) -> None:
    for variable in page.variables:
        if variable.query is not None:
            cursor = connection.execute(variable.query.encode())
            assert list(fields(cursor)) == ["__text", "__value"]
            assert cursor.fetchall()
    for annotation in page.annotations:
        cursor = connection.execute(asked(page, annotation["target"]["rawSql"]).encode())
        assert {"time", "text"} <= set(fields(cursor)) <= {"time", "timeend", "text"}
        assert cursor.fetchall()


@pytest.mark.parametrize(("page", "panel"), PANELS, ids=IDS)
def test_no_query_reads_heartbeats_of_more_than_a_day(
    connection: psycopg.Connection[Any], page: Page, panel: Panel
) -> None:
    for query in panel.queries:
        assert partitions_read(connection, asked(page, query.text, hours=720)) <= _RECENT


def test_a_query_that_reads_older_heartbeats_would_be_seen(
    connection: psycopg.Connection[Any],
) -> None:
    text = "SELECT count(*) FROM failures WHERE $__timeFilter(slot)"

    read = partitions_read(connection, look.chosen(720).asked(text))

    assert read == _RECENT | {"heartbeats_20260302"}


@pytest.mark.parametrize("gaps", ["uptime", "uptime_gaps_down"])
def test_gaps_count_as_down_only_if_that_is_chosen(
    connection: psycopg.Connection[Any], gaps: str
) -> None:
    (panel,) = [panel for _, panel in PANELS if panel.title == "Each monitor"]
    chosen = look.chosen(720, gaps=(gaps,))
    by_hand = f"""
        SELECT monitor_id, {gaps} FROM uptimes(%s, %s) JOIN monitors USING (monitor_id)
        WHERE uptime IS NOT NULL"""

    cursor = connection.execute(chosen.asked(panel.queries[0].text).encode())
    at = list(fields(cursor)).index("kept")

    expected = connection.execute(by_hand.encode(), (chosen.since, chosen.until)).fetchall()
    assert {row[0]: row[at] for row in cursor.fetchall()} == dict(expected)


@pytest.mark.parametrize(
    ("monitor", "datacenter", "moment", "state"),
    [
        ("1", "VA", "2026-03-03 14:00", "down"),
        ("1", "VA", "2026-03-03 15:00", "up"),
        ("1", "VA", "2026-03-03 22:00", "maintenance"),
        ("1", "VA", "2026-03-03 03:00", "no leader"),
        ("1", "LON", "2026-03-04 06:30", "unknown"),
        ("2", "LON", "2026-03-04 10:00", "degraded"),
        ("2", "VA", "2026-03-02 21:00", "no check"),
    ],
)
def test_the_timeline_says_what_was_so(
    connection: psycopg.Connection[Any], monitor: str, datacenter: str, moment: str, state: str
) -> None:
    (panel,) = [panel for _, panel in PANELS if panel.title == "State"]

    text = look.chosen(48, monitor=(monitor,)).asked(panel.queries[0].text)

    shown = {
        (f"{time:%Y-%m-%d %H:%M}", place): TIMELINE[number]
        for time, place, number in connection.execute(text.encode())
    }
    assert shown[moment, datacenter] == state


def test_an_empty_database_is_no_error(conninfo: str) -> None:
    nothing = look.VARIABLES | {"datacenter": ("",), "monitor": ("",)}
    since = look.chosen(24)
    asks = Chosen(since=since.since, until=since.until, variables=nothing)

    async def ask() -> None:
        async with roles.made(conninfo) as logins:
            with psycopg.connect(logins["reader"], autocommit=True) as reader:
                for page, panel in PANELS:
                    if "monitor" in {each.name for each in page.variables}:
                        continue  # Grafana asks nothing before a monitor is chosen
                    for query in panel.queries:
                        reader.execute(asks.asked(query.text).encode())

    asyncio.run(ask())


def test_what_grafana_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$__timeTo_s"):
        look.chosen().asked("SELECT $__timeTo_s()")
