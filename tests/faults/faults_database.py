"""A database that cuts sessions or crashes: the same agent goes on checking, nothing is lost."""

import asyncio
import random
import time
from collections.abc import Sequence
from enum import StrEnum

from tests.faults import checkers
from tests.faults.history import History, Where
from tests.faults.installation import DATACENTER, Installation, installation
from tests.faults.pair import PATIENCE_S, Pair, leader, pair, term, until_checked
from tests.faults.report import Fault, Figure, Outcome, Scale, say
from uptimeo.storage.database import one

_MONITORS = 40
_INTERVAL_S = 1
_CUT_ONE = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'uptimeo %'
    ORDER BY random() LIMIT 1) s
"""
_CHECKED_SINCE = """
SELECT EXISTS (SELECT FROM api_heartbeats
WHERE datacenter_id = %s AND executed_at > to_timestamp(%s) AT TIME ZONE 'UTC')
"""


async def _sessions_cut(scale: Scale) -> Outcome:
    runs = 100 if scale is Scale.FULL else 10
    async with installation(options=("fsync=off",)) as place:
        await place.add_monitors(_MONITORS, _INTERVAL_S)
        async with pair(place) as agents:
            async with await place.connect() as connection:
                for _ in range(runs):
                    await asyncio.sleep(random.uniform(0.1, 0.5))
                    await connection.execute(_CUT_ONE.encode())
            await asyncio.sleep(2.0)  # time for a consequence
            await agents.stop()
        history = await place.history()
    return Outcome(runs=runs, figures=_judged(history))


async def _crashed(scale: Scale) -> Outcome:
    downs = [random.uniform(1.0, 15.0) for _ in range(10)] if scale is Scale.FULL else [3.0]
    async with installation() as place:
        await place.add_monitors(_MONITORS, _INTERVAL_S)
        async with pair(place) as agents:
            for down in downs:
                await _crash(place, down)
            await agents.stop()
        history = await place.history()
    gap = checkers.longest_gap_s(history)
    return Outcome(
        runs=len(downs),
        figures=[
            Figure("longest gap of a monitor", gap, "s", at_most=_INTERVAL_S + 1.0),
            *_judged(history),
        ],
    )


async def _crash(place: Installation, down: float) -> None:
    await asyncio.sleep(random.uniform(1.0, 3.0))
    await place.server.kill()
    await asyncio.sleep(down)
    await _back(place)
    say(f"the postmaster was killed, and back after {down:.1f} s")


async def _back(place: Installation) -> None:
    """Start the server; returns when a check that was started after it is stored."""
    await place.server.start()
    back = time.time()
    async with asyncio.timeout(PATIENCE_S), await place.connect() as connection:
        while not await one(connection, _CHECKED_SINCE, (DATACENTER, back)):
            await asyncio.sleep(0.1)


class _Death(StrEnum):
    """How a leader died before another one took over."""

    LEADING = "while it led"
    TOLD = "while it led, and again when it had seen who leads now"
    OFFLINE = "while it went on without the database, which then came back"


async def _restarted(scale: Scale) -> Outcome:
    each = 3 if scale is Scale.FULL else 1
    replaced = await _deaths([_Death.LEADING, _Death.TOLD] * each)
    unaware = await _deaths([_Death.OFFLINE] * each)
    late = checkers.started_after_their_term(unaware)
    return Outcome(
        runs=3 * each,
        figures=[
            Figure(
                "checks after their term",
                len(checkers.started_after_their_term(replaced)),
                at_most=0,
            ),
            Figure("overlap", checkers.overlap_s(replaced), "s", at_most=0),
            Figure("doubled", sum(map(checkers.doubled, (replaced, unaware))), at_most=0),
            Figure("two outages: both ran", checkers.overlap_s(unaware), "s", at_most=0),
            Figure(
                "two outages: counted after their term",
                sum(beat.where is Where.STORED for beat in late),
                at_most=0,
            ),
        ],
    )


async def _deaths(deaths: Sequence[_Death]) -> History:
    async with installation() as place:
        await place.add_monitors(_MONITORS, _INTERVAL_S)
        async with pair(place) as agents:
            for death in deaths:
                await _restart_in_outage(place, agents, death)
            await agents.stop()
        return await place.history()


async def _restart_in_outage(place: Installation, agents: Pair, death: _Death) -> None:
    name = await _replaced(place, agents, death)
    await place.server.kill()
    await asyncio.sleep(1.0)
    seen = len(place.target.requests)
    await agents.start(name)
    await asyncio.sleep(2.5)  # time for a mistake
    checks = len(place.target.requests) - seen
    await _back(place)
    await agents.agents[name].event("standing_by")
    say(f"{name} died {death}; its restart in an outage: {checks} checks of both in 2.5 s")


async def _replaced(place: Installation, agents: Pair, death: _Death) -> str:
    """Let the leader die and another take over; answers with the name of the dead."""
    async with await place.connect() as connection:
        name, led = await leader(connection), await term(connection)
    if death is _Death.OFFLINE:
        await place.server.kill()
        await asyncio.sleep(4.0)  # its lease is over, and it knows why
    await agents.kill(name)
    if death is _Death.OFFLINE:
        await place.server.start()
    async with await place.connect() as connection:
        await until_checked(connection, led + 1)
    if death is _Death.TOLD:
        await agents.start_as_standby(name)
        await agents.kill(name)
    return name


def _judged(history: History) -> list[Figure]:
    skipped = len(history.beats) - len(list(history.checks()))
    return [
        Figure("changes of leader", len(history.terms) - 1, at_most=0),
        Figure("heartbeats", len(history.beats), at_least=1),
        Figure("slots lost", len(checkers.missing(history)), at_most=0),
        Figure("slots recorded as skipped", skipped),
        Figure("doubled", checkers.doubled(history), at_most=0),
        Figure("overlap", checkers.overlap_s(history), "s", at_most=0),
    ]


FAULTS = (
    Fault(
        id="F7",
        title="pg_terminate_backend on a random session of an agent",
        demanded="changes of leader 0; slots lost 0",
        run=_sessions_cut,
    ),
    Fault(
        id="F8",
        title="postmaster killed with SIGKILL, back after 1 to 15 s",
        demanded="longest gap between checks <= 1 interval + 1 s; lost 0, doubled 0; same leader",
        run=_crashed,
    ),
    Fault(
        id="F8b",
        title="a killed leader, long replaced, is started again while the database is down",
        demanded="no check under its old term: checks after their term 0; overlap 0",
        run=_restarted,
    ),
)
