"""What do wrong clocks do? Those of an agent's host, and the one of the database while it runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from tests.faults import clocks
from tests.faults.checkers import doubled, started_after_their_term
from tests.faults.history import Where
from tests.faults.installation import Installation, installation
from tests.faults.network import Witness, witnessed
from tests.faults.report import Fault, Figure, Outcome, Scale, SkipFault, say
from tests.support.servers import HOST
from uptimeo.storage.database import one

_MONITORS = 10
_ERROR_S = 0.3
# An agent learns of a jump with its next renewal: 1 s, its jitter, and the call.
_LEARNT_S = 1.3
_HOUR = 3600
# How far the database's clock is ahead, one after the other, of one running server each.
_COURSES: Mapping[Scale, Mapping[str, Sequence[int]]] = {
    Scale.SHORT: {"database +20 s, +1 h": (20, _HOUR)},
    Scale.FULL: {
        "database +20 s": (20,),
        "database +1 h": (_HOUR,),
        "database +20 s, +1 h, right again": (20, _HOUR, 0),
        "database -20 s": (-20,),
    },
}
_WATCHED_S = {Scale.SHORT: 8.0, Scale.FULL: 20.0}
_RECORDED = """
SELECT response_server::int, extract(epoch FROM executed_at)::float8,
       right(tableoid::regclass::text, 8)
FROM api_heartbeats WHERE response_server IS NOT NULL ORDER BY 1
"""
_TERMS = "SELECT max(term) FROM agent_terms WHERE datacenter_id = 1"


@dataclass(frozen=True, slots=True)
class Jump:
    """The database's clock was set that far ahead of the true one, at a true time."""

    at: float
    offset_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the heartbeats say, against the target's own watch."""

    checks: int
    last_checks: int
    errors: Sequence[float]
    learning: int
    wrong_days: int
    unrecorded: int
    set_aside: int
    doubled: int
    counted_overlap: int
    terms: int

    def clock_error_s(self) -> float:
        """The worst second: one check may be late on its way to the target, not ten in a row."""
        rows = range(max(1, len(self.errors) - _MONITORS + 1))
        return max(median(self.errors[first : first + _MONITORS]) for first in rows)

    def figures(self, what: str) -> list[Figure]:
        """All that is demanded of one case."""
        return [
            Figure(f"{what}: executed_at off by", self.clock_error_s(), "s", at_most=_ERROR_S),
            Figure(f"{what}: worst single check", max(self.errors), "s"),
            Figure(f"{what}: changes of leader", self.terms - 1, at_most=0),
            Figure(f"{what}: counted overlap", self.counted_overlap, at_most=0),
            Figure(f"{what}: wrong day", self.wrong_days, at_most=0),
            Figure(f"{what}: set aside", self.set_aside, at_most=0),
            Figure(f"{what}: slots doubled", self.doubled, at_most=0),
            Figure(f"{what}: unrecorded", self.unrecorded, at_most=0),
            Figure(f"{what}: checks after the last jump", self.last_checks),
        ]


@asynccontextmanager
async def _pair(place: Installation, *environments: Mapping[str, str]) -> AsyncIterator[None]:
    """Two agents: the first leads, the second stands by."""
    async with AsyncExitStack() as stack:
        names = (("agent-a", "lease_acquired"), ("agent-b", "standing_by"))
        for (name, event), environment in zip(names, environments, strict=True):
            agent = await stack.enter_async_context(place.agent(name, **environment))
            await agent.event(event)
        yield


# The agents' clocks.


async def _agents(seconds: int, watched_s: float) -> Told:
    """Both agents' hosts are wrong, each into its own direction; the database is right."""
    async with installation(options=("fsync=off",)) as place, witnessed(place, HOST) as witness:
        await place.add_monitors(_MONITORS)
        async with _pair(place, clocks.shifted(seconds), clocks.shifted(-seconds)):
            await asyncio.sleep(watched_s)
            return await _told(place, witness, [])


# The database's clock.


async def _database(offsets: Sequence[int], watched_s: float) -> Told:
    """The clock of the running server is set to each offset in turn."""
    async with AsyncExitStack() as stack:
        clock = stack.enter_context(clocks.movable_clock())
        with clock.governs():
            place = await stack.enter_async_context(installation(options=("fsync=off",)))
        witness = await stack.enter_async_context(witnessed(place, HOST))
        await place.add_monitors(_MONITORS)
        await stack.enter_async_context(_pair(place, {}, {}))
        jumps = []
        for offset in offsets:
            await asyncio.sleep(watched_s)
            jumps.append(Jump(time.time(), offset))
            clock.move(offset)
        await asyncio.sleep(watched_s)
        return await _told(place, witness, jumps)


async def _told(place: Installation, witness: Witness, jumps: Sequence[Jump]) -> Told:
    until = time.time()
    await asyncio.sleep(2.0)  # what was seen by now is stored by then
    async with await place.connect() as connection:
        rows = await (await connection.execute(_RECORDED)).fetchall()
        terms = int(await one(connection, _TERMS))
    history = await place.history()
    late = started_after_their_term(history)
    visits = {visit.number: visit.at for visit in witness.visits}
    errors, learning, wrong_days = [], 0, 0
    for number, executed, day in rows:
        at = visits[number]
        true = at + _offset(jumps, at)
        if any(jump.at <= at < jump.at + _LEARNT_S for jump in jumps):
            learning += 1
            continue
        errors.append(abs(executed - true))
        wrong_days += day not in {_day(true - 1.5), _day(true + 0.5)}  # its slot was a bit earlier
    recorded = {number for number, *_ in rows}
    return Told(
        checks=len(rows),
        last_checks=sum(at >= (jumps[-1].at if jumps else 0.0) for at in visits.values()),
        errors=errors,
        learning=learning,
        wrong_days=wrong_days,
        unrecorded=sum(at < until and n not in recorded for n, at in visits.items()),
        set_aside=sum(beat.where is Where.ASIDE for beat in history.beats),
        doubled=doubled(history),
        counted_overlap=sum(beat.where is Where.STORED for beat in late),
        terms=terms,
    )


def _offset(jumps: Sequence[Jump], at: float) -> int:
    """How far the database's clock was ahead then."""
    return next((jump.offset_s for jump in reversed(jumps) if jump.at <= at), 0)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d}"


async def _run(scale: Scale) -> Outcome:
    if (why := clocks.missing()) is not None:
        raise SkipFault(why)
    watched_s = _WATCHED_S[scale]
    found: dict[str, Told] = {}
    found["agents +1 h and -1 h"] = await _agents(_HOUR, watched_s)
    for name, offsets in _COURSES[scale].items():
        say(f"  {name}")
        found[name] = await _database(offsets, watched_s)
    return Outcome(
        runs=len(found),
        figures=[figure for name, told in found.items() for figure in told.figures(name)],
        notes=[
            f"{name}: {told.checks} checks, {told.learning} of them in the {_LEARNT_S} s"
            " in which the agent learns of a jump, not judged"
            for name, told in found.items()
        ],
    )


FAULTS = (
    Fault(
        id="F9",
        title="wrong clocks: of the agents' hosts, and of the running database",
        demanded="counted overlap 0; no change of leader; executed_at within 0.3 s; no wrong day",
        run=_run,
    ),
)
