"""How soon is a question about a day or a quarter answered, with a week of heartbeats there?

Rollups of yesterday and today come from the roller; those of the 90 days before are copies of
yesterday's. Rows of five minutes are there for the days of the heartbeats, and for those in which
a window of 90 days begins: nothing that is asked here reads those between, 50 GB of them.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.evidence.database_figures import Figure, Scale
from tests.support.history import History, configure, fill
from tests.support.kept_rollups import DAY, TABLES, Copy, copy, roll
from uptimeo.storage.database import Connection, connect, one

_WINDOW_DAYS = 90
_FIVE = timedelta(minutes=5)
_CONNECTIONS = 2
_ASKED = 300
_PLACES = [1, 2, 3]
_CHECKS_A_DAY = len(_PLACES) * DAY / timedelta(seconds=30)
_BEHIND = "SELECT min(checks)::float8 FROM ({}) answers"
_SIZE = "SELECT pg_database_size(current_database()) / 1e9::float8"
_ROLLED = "SELECT {}".format(" + ".join(f"(SELECT count(*) FROM {table})" for table in TABLES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about a monitor and a window, and the most that the median may take."""

    name: str
    statement: str
    window: timedelta
    at_most_ms: float


QUESTIONS = (
    Question(
        name="percentiles, 24 h, 3 datacenters",
        statement="SELECT * FROM latency_percentiles(%(monitor)s, %(since)s, %(until)s, 'total',"
        " %(places)s)",
        window=DAY,
        at_most_ms=5,
    ),
    Question(
        name="uptime, 90 days",
        statement="SELECT * FROM uptime(%(monitor)s, %(since)s, %(until)s)",
        window=_WINDOW_DAYS * DAY,
        at_most_ms=10,
    ),
)


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """Fill, vacuum, ask once without a clock and once with it."""
    end = _end()
    history = History(start=end - scale.days * DAY, end=end, monitors=scale.monitors)
    async with await connect(conninfo) as connection:
        monitors = await configure(connection, history)
        began = time.perf_counter()
        filled = await _fill(conninfo, connection, history)
        await connection.execute("VACUUM ANALYZE")
        took = time.perf_counter() - began
        size = float(await one(connection, _SIZE))
        asked = sorted(random.Random(1).sample(monitors, min(_ASKED, len(monitors))))
        answers = [
            figure
            for question in QUESTIONS
            for figure in await ask(connection, question, asked, end)
        ]
    return [
        *filled,
        Figure(name="size of the database", value=size, unit="GB"),
        Figure(name="filling it took", value=took, unit="s"),
        *answers,
    ]


async def ask(
    connection: Connection, question: Question, monitors: Sequence[int], until: datetime
) -> list[Figure]:
    """About each of the monitors, twice; the figures are those of the second time."""
    took = sorted([await _times(connection, question, monitors, until) for _ in range(2)][1])
    name, whole = question.name, _CHECKS_A_DAY * (question.window / DAY)
    behind = await one(
        connection,
        _BEHIND.format(question.statement),
        _values(question, until) | {"monitor": monitors[0]},
    )
    median, late = took[len(took) // 2], took[len(took) * 99 // 100]
    return [
        Figure(name=f"{name}: median", value=median, unit="ms", at_most=question.at_most_ms),
        Figure(name=f"{name}: 99 of 100", value=late, unit="ms"),
        Figure(name=f"{name}: worst of {len(took)}", value=took[-1], unit="ms"),
        # A few failed, and a few slots have none.
        Figure(name="  checks behind one", value=behind, unit="checks", at_least=0.99 * whole),
    ]


async def _times(
    connection: Connection, question: Question, monitors: Sequence[int], until: datetime
) -> list[float]:
    """How long each answer took from here, in ms."""
    times = []
    values = _values(question, until)
    for monitor in monitors:
        began = time.perf_counter()
        cursor = await connection.execute(
            question.statement.encode(), values | {"monitor": monitor}
        )
        rows = await cursor.fetchall()
        times.append((time.perf_counter() - began) * 1000)
        assert rows, f"no answer about monitor {monitor}"
    return times


def _values(question: Question, until: datetime) -> dict[str, object]:
    return {"since": until - question.window, "until": until, "places": _PLACES}


def _end() -> datetime:
    """The last five minutes that are over, but no whole hour: such a window has fewer parts."""
    now = datetime.now(UTC)
    end = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
    return end if end.minute else end - _FIVE


async def _fill(conninfo: str, connection: Connection, history: History) -> list[Figure]:
    beats = await fill(conninfo, history, connections=_CONNECTIONS)
    yesterday = history.end.replace(hour=0, minute=0) - DAY
    await roll(conninfo, yesterday, rollers=_CONNECTIONS)
    rolled = int(await one(connection, _ROLLED))
    raw_days = (yesterday - history.start).days + 1
    copied = await copy(conninfo, yesterday, _copies(raw_days), connections=_CONNECTIONS)
    return [
        Figure(name="heartbeats", value=beats, unit="rows"),
        Figure(name="rollups of yesterday and today, by the roller", value=rolled, unit="rows"),
        Figure(name="rollups of earlier days, copies of them", value=copied, unit="rows"),
    ]


def _copies(raw_days: int) -> Iterator[Copy]:
    first = _WINDOW_DAYS - 1
    for back in range(first + 1, 0, -1):
        yield Copy("heartbeats_1h", back)
        yield Copy("heartbeats_1d", back)
        if back <= raw_days or back >= first:
            yield Copy("heartbeats_5m", back)
