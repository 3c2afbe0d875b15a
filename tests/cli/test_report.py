"""Does `uptimeo report` tell what the rollups say, in a table, as JSON, as CSV?"""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from tests.support.commands import ran, said, said_json
from tests.support.rollups import HOUR, add_monitor, every, insert, led_since, roll
from uptimeo.cli.report import report
from uptimeo.cli.report_table import duration, percent, report_table
from uptimeo.domain.errors import FatalError
from uptimeo.storage.database import connect
from uptimeo.storage.uptime import Period, Uptime, UptimeReport

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 3, 31, tzinfo=UTC)
DAY_MS = 86_400_000
TITLES = "monitor uptime covered down p50 p95 p99 checks"
SHOP = "shop 99.9976% 99.99% 61 s 4.2 87 1204 43200"


def uptime(name: str = "shop", place: str = "VA", *, down_ms: int = 61_000) -> Uptime:
    return Uptime(
        monitor_id=1,
        monitor=name,
        datacenters=[place],
        window_start=START,
        window_end=END,
        uptime=Decimal("0.999976"),
        coverage=Decimal("0.999999"),
        uptime_gaps_down=Decimal("0.999900"),
        window_ms=30 * DAY_MS,
        up_ms=30 * DAY_MS - down_ms - 301_000,
        degraded_ms=0,
        critical_ms=0,
        down_ms=down_ms,
        maintenance_ms=0,
        unknown_ms=1_000,
        no_leader_ms=300_000,
        missing_ms=0,
        not_scheduled_ms=0,
        checks=43_200,
        expected=43_205,
        p50_ms=4.25,
        p95_ms=87.4,
        p99_ms=1204.0,
    )


def printed(*rows: Uptime, apart: bool = False, width: int = 80, encoding: str = "utf-8") -> str:
    found = UptimeReport(
        period=Period(since=START, until=END, apart=apart), known_from=START, rows=rows
    )
    buffer = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    Console(file=buffer, width=width, highlight=False).print(report_table(found))
    assert isinstance(buffer.buffer, io.BytesIO)
    return buffer.buffer.getvalue().decode(encoding)


async def an_hour_with_an_outage(dsn: str) -> int:
    """A monitor that was down for six minutes of an hour in datacenter 1, up in 2."""
    async with await connect(dsn) as connection:
        monitor = await add_monitor(connection)
        for place in (1, 2):
            await led_since(connection, HOUR, place)
            await insert(connection, monitor, every(60, 60), place=place)
        await connection.execute(
            "UPDATE api_heartbeats SET status = 'down', success = false"
            " WHERE datacenter_id = 1 AND scheduled_at < %s",
            (HOUR + timedelta(minutes=6),),
        )
        await roll(connection)
    return monitor


def window() -> list[str]:
    return ["--from", HOUR.isoformat(), "--to", (HOUR + timedelta(hours=1)).isoformat()]


def test_the_table_fits_and_says_where_time_went() -> None:
    lines = printed(uptime()).splitlines()

    assert lines[0] == "2026-03-01 00:00 to 2026-03-31 00:00 UTC, times in ms"
    assert lines[2].split() == [
        "monitor",
        "uptime",
        "covered",
        "down",
        "p50",
        "p95",
        "p99",
        "checks",
    ]
    assert lines[3].split() == [
        "shop",
        "99.9976%",
        "99.99%",
        "61",
        "s",
        "4.2",
        "87",
        "1204",
        "43200",
    ]
    assert lines[4] == "  no verdict: 5 min no leader, 1 s fault of an agent"


def test_each_datacenter_has_a_line_if_asked() -> None:
    lines = printed(uptime(), uptime(place="LON"), apart=True).splitlines()

    assert [line.split()[1] for line in lines if line.startswith("shop")] == ["VA", "LON"]


def test_a_long_name_gives_way() -> None:
    text = printed(uptime("a name that is much longer than the terminal is wide " * 2), apart=True)

    assert max(map(len, text.splitlines())) <= 80
    assert "43200" in text


def test_in_ascii_nothing_else_is_printed() -> None:
    text = printed(uptime("größe\x1b[2J", down_ms=0), encoding="ascii")

    assert text.isascii()
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        ("1.000000", "100%"),
        ("0.999999", "99.99%"),
        ("0.000000", "0.00%"),
        ("0.123456", "12.34%"),
    ],
)
def test_a_share_is_never_rounded_up(share: str, shown: str) -> None:
    assert percent(Decimal(share), 2) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(1, "1 s"), (119_000, "119 s"), (120_001, "3 min"), (7_200_000, "2 h"), (2 * DAY_MS, "2 d")],
)
def test_a_length_of_time_hides_nothing(ms: int, shown: str) -> None:
    assert duration(ms) == shown


def ask(dsn: str, *arguments: str) -> list[dict[str, object]]:
    found = said_json(report, *window(), *arguments, dsn=dsn)["rows"]
    assert isinstance(found, list)
    return found


def test_all_datacenters_count_together_or_each_for_itself(conninfo: str) -> None:
    monitor = asyncio.run(an_hour_with_an_outage(conninfo))

    together = ask(conninfo)
    apart = ask(conninfo, "--by", "datacenter", "--monitor", str(monitor))
    one = ask(conninfo, "--datacenter", "VA")

    assert [row["uptime"] for row in together] == [0.95]
    assert [(row["datacenters"], row["uptime"]) for row in apart] == [(["VA"], 0.9), (["NY"], 1.0)]
    assert [(row["down_ms"], row["checks"]) for row in one] == [(360_000, 60)]


def test_csv_has_a_line_for_each_row(conninfo: str) -> None:
    asyncio.run(an_hour_with_an_outage(conninfo))

    lines = list(csv.DictReader(io.StringIO(said(report, *window(), "--csv", dsn=conninfo))))

    assert [(row["monitor"], row["datacenters"], row["uptime"]) for row in lines] == [
        ("m", "VA NY", "0.95")
    ]


def test_a_period_that_is_not_covered_says_so(conninfo: str) -> None:
    asyncio.run(an_hour_with_an_outage(conninfo))
    future = (HOUR + timedelta(days=2)).isoformat()
    given = ["--from", (HOUR - timedelta(days=9)).isoformat(), "--to", future]

    text = said(report, *given, dsn=conninfo)
    found = said_json(report, *given, dsn=conninfo)

    assert f"Nothing is known of before {HOUR:%Y-%m-%d %H:%M}." in text
    assert "is not rolled up." in text
    assert datetime.fromisoformat(found["known_from"]) == HOUR


def test_a_period_in_which_nothing_was_due_is_bad_news(conninfo: str) -> None:
    result = ran(report, "--last", "24h", dsn=conninfo)
    empty = ran(report, "--last", "24h", "--json", dsn=conninfo)

    assert (result.exit_code, empty.exit_code) == (1, 1)
    assert result.output.startswith("Nothing was due from ")
    assert json.loads(empty.stdout)["rows"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--last 30", "'30' is not a length"),
        ("--last 9999999w", "is not a length"),
        ("--from yesterday", "'yesterday' is not a time"),
        ("--to 2026-03-01", "--to needs --from"),
        ("--last 3d --from 2026-03-01", "exclude each other"),
        ("--from 2026-03-02 --to 2026-03-01", "ends before it begins"),
        ("--from 0001-01-01T00:00+14:00", "is not a time"),
    ],
)
def test_wrong_input_is_said_in_a_line(arguments: str, words: str) -> None:
    result = ran(report, *arguments.split())

    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--datacenter XX", "there is no datacenter XX; known are: VA, NY"),
        ("--monitor 99", "there is no monitor 99"),
    ],
)
def test_what_there_is_not_is_named(conninfo: str, arguments: str, words: str) -> None:
    result = ran(report, *arguments.split(), dsn=conninfo)

    assert isinstance(result.exception, FatalError)
    assert words in str(result.exception)
