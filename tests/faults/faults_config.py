"""Config rows that change many times: how soon is each in force in every datacenter?"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count, cycle

from tests.faults.installation import Installation, installation
from tests.faults.report import Fault, Figure, Outcome, Scale, percentile, say
from tests.support.agents import Running
from uptimeo.storage.database import Connection, one

_MONITORS = 20
_DATACENTERS = range(1, 10)
_PATIENCE_S = 60.0
_NOTICED_S, _NOTICED_MAX_S = 0.5, 1.0
_POLL_SLACK_S = 1.0
_FIRST_MS = 5000
# Of each table, every column that says what is checked; `n` is another number each time.
_OF_A_MONITOR = {
    "name": "'name ' || %(n)s",
    "url": "url || '?' || %(n)s",
    "headers": "jsonb_build_object('X-N', %(n)s::text)",
    "body": "jsonb_build_object('n', %(n)s::int)",
    "options": "jsonb_build_object('max_redirects', %(n)s::int %% 10)",
    "timeout_ms": "500 + %(n)s",
    "schedule_id": "%(schedules)s - schedule_id",
    "method": "CASE method WHEN 'PUT' THEN 'POST' ELSE 'PUT' END",
    "enabled": "NOT enabled",
}
_OF_A_SCHEDULE = {
    "thresholds_warning": f"{_FIRST_MS} + %(n)s",
    "thresholds_critical": "9000 + %(n)s",
    "timeout_ms": "500 + %(n)s",
    "include_response_body": "NOT include_response_body",
    "interval": "CASE name WHEN 'second' THEN 5 - interval ELSE interval END",
}
_CHANGES: Mapping[str, Sequence[str]] = {
    "api_monitors": [
        f"UPDATE api_monitors SET {column} = {value} WHERE id = "
        + ("%(switched)s" if column == "enabled" else "%(changed)s")
        for column, value in _OF_A_MONITOR.items()
    ],
    "schedules": [
        f"UPDATE schedules SET {column} = {value}" for column, value in _OF_A_SCHEDULE.items()
    ],
    "datacenter_monitors": [
        "INSERT INTO datacenter_monitors VALUES (1, %(moved)s)",
        "UPDATE datacenter_monitors SET datacenter_id = 2",
        "DELETE FROM datacenter_monitors",
    ],
}
# The first takes the monitor from all but one, the second moves it, the third gives it back.
_ASSIGNED: Sequence[frozenset[int]] = (
    frozenset(_DATACENTERS) - {1},
    frozenset({1, 2}),
    frozenset(_DATACENTERS) - {2},
)
_SECOND = """
INSERT INTO schedules (name, interval, thresholds_warning, thresholds_critical)
VALUES ('second', 2, 5000, 9000) RETURNING id
"""
_SLOW = "UPDATE api_monitors SET schedule_id = %s WHERE id = %s"
_WITH_BODY = "UPDATE api_monitors SET method = 'POST' WHERE id = %s"
# A later change may be read together with this one.
_SHOWN = """
SELECT count(*), extract(epoch FROM max(first))::float8 FROM (
    SELECT min(executed_at) AS first FROM api_heartbeats
    WHERE warning_threshold_ms >= %s GROUP BY datacenter_id) x
"""
_BACK = """
SELECT count(*) FROM (
    SELECT warning_threshold_ms, max(warning_threshold_ms)
           OVER (PARTITION BY datacenter_id ORDER BY executed_at) AS newest
    FROM api_heartbeats) x
WHERE warning_threshold_ms < newest
"""


@dataclass(frozen=True, slots=True)
class _Change:
    """A statement, and the datacenters in which it changes what is checked."""

    table: str
    statement: str
    concerns: frozenset[int]


@dataclass(frozen=True, slots=True)
class _InForce:
    """How long a change took in the slowest datacenter, as its agent says.

    `warning_ms` is the threshold that heartbeats have since then, if it is a change of that.
    """

    table: str
    committed: float
    after_s: float
    warning_ms: int | None


class _Everywhere:
    """The agents of all datacenters, and the rows that they follow."""

    def __init__(
        self, agents: Mapping[int, Running], connection: Connection, values: Mapping[str, int]
    ) -> None:
        self._agents = agents
        self._connection = connection
        self._values = values
        self._numbers = count(1)

    async def make(self, change: _Change) -> _InForce:
        """Commit a change and wait until it is in force wherever it changes anything."""
        known = {number: len(_changes_of(agent)) for number, agent in self._agents.items()}
        values = {**self._values, "n": next(self._numbers)}
        await self._connection.execute(change.statement.encode(), values)
        committed = time.time()
        async with asyncio.timeout(_PATIENCE_S):
            times = [await self._next(number, known[number]) for number in change.concerns]
        shown = _FIRST_MS + values["n"] if "thresholds_warning" in change.statement else None
        return _InForce(change.table, committed, max(times) - committed, shown)

    async def _next(self, datacenter: int, known: int) -> float:
        while len(lines := _changes_of(self._agents[datacenter])) == known:
            await asyncio.sleep(0.01)
        return datetime.fromisoformat(lines[known]).timestamp()


def _changes_of(agent: Running) -> list[str]:
    """When the agent said that another set of monitors is in force, from the second on."""
    return [line["ts"] for line in agent.lines if line["event"] == "monitors_changed"]


@asynccontextmanager
async def _everywhere(place: Installation, poll_s: float) -> AsyncIterator[_Everywhere]:
    ids = await place.add_monitors(_MONITORS)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await place.connect())
        first = await one(connection, "SELECT schedule_id FROM api_monitors LIMIT 1")
        second = int(await one(connection, _SECOND))
        slow, changed, switched, moved, *_ = ids
        await connection.execute(_SLOW, (second, slow))
        await connection.execute(_WITH_BODY, (changed,))
        values = {"changed": changed, "switched": switched, "moved": moved}
        values["schedules"] = first + second
        agents = {}
        for number in _DATACENTERS:
            environment = {"DATACENTER_ID": str(number), "UPTIMEO_CONFIG_POLL_S": f"{poll_s:g}"}
            starting = place.agent(f"agent-{number}", **environment)
            agents[number] = await stack.enter_async_context(starting)
        for agent in agents.values():
            await agent.event("lease_acquired")
            await agent.event("notifications_work")
            await agent.event("monitors_changed")
        yield _Everywhere(agents, connection, values)


def _changes() -> Iterator[_Change]:
    """The three tables in turn, and of each one its columns in turn."""
    statements = {table: cycle(known) for table, known in _CHANGES.items()}
    assigned = cycle(_ASSIGNED)
    for table in cycle(_CHANGES):
        concerns = next(assigned) if table == "datacenter_monitors" else frozenset(_DATACENTERS)
        yield _Change(table, next(statements[table]), concerns)


async def _changed(scale: Scale) -> Outcome:
    number, untold, poll_s = (201, 6, 30.0) if scale is Scale.FULL else (21, 3, 5.0)
    async with installation(options=("fsync=off",)) as place, _everywhere(place, poll_s) as agents:
        changes = _changes()
        told = [await _noticed(agents, next(changes)) for _ in range(number)]
        async with await place.connect() as connection:
            for table in _CHANGES:
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            missed = [await _unnoticed(agents, next(changes), poll_s) for _ in range(untold)]
            await asyncio.sleep(2.0)
            back = int(await one(connection, _BACK))
            shown = [await _shown(connection, made) for made in told if made.warning_ms]
    return Outcome(
        runs=number + untold,
        figures=[
            *_figures(told),
            Figure("first check that shows it: max", max(shown), "s", at_most=_NOTICED_MAX_S),
            Figure("without a notice: p50", percentile(missed, 50), "s"),
            Figure("max", max(missed), "s", at_most=poll_s + _POLL_SLACK_S),
            Figure("checks that went back to older rows", back, at_most=0),
        ],
        notes=[
            f"of the slowest of {len(_DATACENTERS)} datacenters each, on one machine",
            f"rows are read anew every {poll_s:g} s without notices",
        ],
    )


async def _noticed(agents: _Everywhere, change: _Change) -> _InForce:
    await asyncio.sleep(random.uniform(0.05, 0.4))
    return await agents.make(change)


async def _unnoticed(agents: _Everywhere, change: _Change, poll_s: float) -> float:
    await asyncio.sleep(random.uniform(0.0, poll_s / 4))
    made = await agents.make(change)
    say(f"a change of {made.table} without a notice was in force after {made.after_s:.1f} s")
    return made.after_s


async def _shown(connection: Connection, made: _InForce) -> float:
    """When the last datacenter ran the first check that shows a change."""
    row = await (await connection.execute(_SHOWN, (made.warning_ms,))).fetchone()
    assert row is not None
    datacenters, at = row
    assert datacenters == len(_DATACENTERS)
    return float(at) - made.committed


def _figures(told: Sequence[_InForce]) -> list[Figure]:
    times = [made.after_s for made in told]
    of_table = defaultdict(list)
    for made in told:
        of_table[made.table].append(made.after_s)
    return [
        Figure("p50", percentile(times, 50), "s"),
        Figure("p95", percentile(times, 95), "s", at_most=_NOTICED_S),
        Figure("max", max(times), "s", at_most=_NOTICED_MAX_S),
        *(Figure(f"p95 of {table}", percentile(each, 95), "s") for table, each in of_table.items()),
    ]


FAULTS = (
    Fault(
        id="F22",
        title="monitors, schedules and assignments changed in nine datacenters, also unnoticed",
        demanded="in force in all: p95 <= 0.5 s, max <= 1 s; without a notice (a poll) <= 31 s",
        run=_changed,
    ),
)
