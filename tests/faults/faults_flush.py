"""Agents and the database killed at random while heartbeats flow: none is lost, none counts twice.

Two witnesses. What a dead agent has on its disk was acknowledged, and has to arrive. And of each
request that the target saw there has to be a heartbeat, unless its agent was killed just then.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.faults import checkers
from tests.faults.history import Execution, History
from tests.faults.installation import Installation, installation
from tests.faults.pair import NAMES, Pair, pair
from tests.faults.report import Fault, Figure, Outcome, Scale, say
from tests.faults.target import Request

_PROGRESS_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """How much, and how often (seconds, from - to) somebody is killed, and stays so."""

    monitors: int
    heartbeats: int
    agent_every: tuple[float, float]
    agent_down: tuple[float, float] = (0.0, 2.0)
    database_every: tuple[float, float]
    database_down: tuple[float, float]


_LOADS = {
    Scale.FULL: _Load(
        monitors=400,
        heartbeats=200_000,
        agent_every=(10.0, 20.0),
        database_every=(30.0, 50.0),
        database_down=(1.0, 8.0),
    ),
    Scale.SHORT: _Load(
        monitors=200,
        heartbeats=3_000,
        agent_every=(3.0, 5.0),
        database_every=(6.0, 8.0),
        database_down=(1.0, 2.0),
    ),
}


@dataclass(slots=True)
class _Deeds:
    """What was done, and what the dead left behind."""

    kills: list[float] = field(default_factory=list)
    crashes: list[float] = field(default_factory=list)
    acknowledged: set[Execution] = field(default_factory=set)


async def _flushed(scale: Scale) -> Outcome:
    load, deeds = _LOADS[scale], _Deeds()
    async with installation() as place:
        await place.add_monitors(load.monitors)
        async with pair(place) as agents:
            await _kill_until_enough(place, agents, load, deeds)
            await asyncio.sleep(5.0)  # whoever starts has time to lead, and to send what waits
            await agents.stop()
        history = await place.history()
    return _outcome(history, place.target.requests, deeds)


async def _kill_until_enough(place: Installation, agents: Pair, load: _Load, deeds: _Deeds) -> None:
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_kill_agents(agents, load, deeds, enough))
        group.create_task(_crash_database(place, load, deeds, enough))
        while len(place.target.requests) < load.heartbeats:
            say(f"{len(place.target.requests):,} checks, {len(deeds.kills)} agents killed")
            await asyncio.sleep(min(_PROGRESS_S, load.heartbeats / load.monitors / 10))
        enough.set()


async def _kill_agents(agents: Pair, load: _Load, deeds: _Deeds, enough: asyncio.Event) -> None:
    while not await _over(enough, load.agent_every):
        name = random.choice(NAMES)
        deeds.kills.append(await agents.kill(name))
        deeds.acknowledged |= agents.left_by(name)
        await asyncio.sleep(random.uniform(*load.agent_down))
        await agents.start(name)


async def _crash_database(
    place: Installation, load: _Load, deeds: _Deeds, enough: asyncio.Event
) -> None:
    while not await _over(enough, load.database_every):
        deeds.crashes.append(await place.server.kill())
        await asyncio.sleep(random.uniform(*load.database_down))
        await place.server.start()


async def _over(enough: asyncio.Event, after: tuple[float, float]) -> bool:
    """Wait for a random while; whether the end came first."""
    try:
        async with asyncio.timeout(random.uniform(*after)):
            await enough.wait()
    except TimeoutError:
        return False
    return True


def _outcome(history: History, requests: Sequence[Request], deeds: _Deeds) -> Outcome:
    gaps = checkers.gaps_after(history, deeds.kills)
    missing = checkers.missing(history)
    unrecorded = checkers.unrecorded(history, requests)
    repeated = checkers.repeated(history, unrecorded)
    unspooled = _just_before_a_kill(set(unrecorded) - set(repeated), deeds)
    lost = len(unrecorded) - len(repeated) - len(unspooled)
    elsewhere = checkers.outside(missing, gaps)
    return Outcome(
        runs=len(deeds.kills) + len(deeds.crashes),
        figures=[
            Figure("heartbeats", len({beat.what for beat in history.beats})),
            Figure("agents killed", len(deeds.kills), at_least=1),
            Figure("database killed", len(deeds.crashes), at_least=1),
            Figure("found on the disks of the dead", len(deeds.acknowledged)),
            Figure("of these lost", checkers.lost(history, deeds.acknowledged), at_most=0),
            Figure("checks of the dead not yet on disk", len(unspooled)),
            Figure("run again by the next leader", len(repeated)),
            Figure("other checks without a heartbeat", lost, at_most=0),
            Figure("slots lost elsewhere", len(elsewhere), at_most=0),
            Figure("doubled", checkers.doubled(history), at_most=0),
            Figure("overlap", checkers.overlap_s(history), "s", at_most=0),
        ],
        notes=checkers.placed(elsewhere, gaps),
    )


def _just_before_a_kill(requests: Collection[Request], deeds: _Deeds) -> list[Request]:
    """The last checks of a killed agent, which had no time to reach its disk."""
    return [
        request
        for request in requests
        if any(
            at - checkers.UNSPOOLED_S <= request.at <= at + checkers.ARRIVING_S
            for at in deeds.kills
        )
    ]


FAULTS = (
    Fault(
        id="F12",
        title="agents and database killed at random during flush",
        demanded="heartbeats lost 0, doubled 0 (full: of 200,000)",
        run=_flushed,
    ),
)
