"""Is a target called down when it is our own network that is gone?

The agent keeps its link to the database and loses everything else: first in silence (packets are
dropped), then without a route. Some targets fail all the time: of them, too, nothing is known
while the agent is isolated.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.faults.network import AGENTS, REFERENCES, TARGET, Divided, divided
from tests.faults.report import Fault, Figure, Outcome, Scale, say
from tests.support.servers import hanging_up, resetting, serve
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, add_monitor

_MONITORS, _FAILING = 20, 4
_ROUNDS = {Scale.FULL: 20, Scale.SHORT: 2}
_ISOLATED_S, _BETWEEN_S = 6.0, 4.0
_BEATS = """
SELECT extract(epoch FROM executed_at)::float8, status, coalesce(error_type, ''),
       monitor_id = ANY(%s), coalesce(response_time_ms, 0) / 1000
FROM api_heartbeats WHERE attempts > 0
"""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Nothing but the database could be reached in this time."""

    began: float
    ended: float
    routeless: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat of a check that ran from `began` to `ended`."""

    began: float
    status: str
    error: str
    failing: bool
    lasted_s: float

    @property
    def ended(self) -> float:
        """When its result was there."""
        return self.began + self.lasted_s


@asynccontextmanager
async def _references(site: Divided) -> AsyncIterator[str]:
    """Two servers that hang up at once, as the agent's setting names them."""
    async with AsyncExitStack() as stack:
        with site.network.inside():
            addresses = [
                await stack.enter_async_context(serve(hanging_up, host=host)) for host in REFERENCES
            ]
        yield ",".join(address.shown for address in addresses)


@asynccontextmanager
async def _failing(site: Divided) -> AsyncIterator[list[int]]:
    """Monitors whose target resets every connection."""
    async with AsyncExitStack() as stack:
        with site.network.inside():
            address = await stack.enter_async_context(serve(resetting, host=TARGET))
        every_second, ids = NewSchedule(interval_s=1), []
        async with await site.place.connect() as connection:
            for number in range(_FAILING):
                name, url = f"always down {number}", address.url("/")
                new = NewMonitor(name=name, type="HTTP", url=url, schedule=every_second)
                ids.append(await add_monitor(connection, new))
        yield ids


async def _run(scale: Scale) -> Outcome:
    rounds = []
    async with divided() as site, _references(site) as references, _failing(site) as failing:
        await site.place.add_monitors(_MONITORS)
        async with site.agent(AGENTS[0], UPTIMEO_REFERENCE_TARGETS=references) as agent:
            await agent.event("lease_acquired")
            for number in range(_ROUNDS[scale]):
                await asyncio.sleep(_BETWEEN_S)
                rounds.append(await _isolate(site, routeless=number % 2 == 1))
                say(f"  isolated {number + 1} of {_ROUNDS[scale]}")
            await asyncio.sleep(_BETWEEN_S)
        beats = await _beats(site, failing)
    return Outcome(runs=len(rounds), figures=_figures(beats, rounds), notes=_notes(beats, rounds))


async def _isolate(site: Divided, *, routeless: bool) -> Isolation:
    site.network.isolate(AGENTS[0], routeless=routeless)
    began = time.time()
    await asyncio.sleep(_ISOLATED_S)
    ended = time.time()
    site.network.heal(AGENTS[0])
    return Isolation(began, ended, routeless)


async def _beats(site: Divided, failing: Sequence[int]) -> list[Beat]:
    async with await site.place.connect() as connection:
        rows = await (await connection.execute(_BEATS, (list(failing),))).fetchall()
    return [Beat(*row) for row in rows]


def _figures(beats: Sequence[Beat], rounds: Sequence[Isolation]) -> list[Figure]:
    inside = _during(beats, rounds)
    beyond = [beat for beat in beats if not any(_meets(beat, isolation) for isolation in rounds)]
    unknown = [beat for beat in inside if beat.error == "isolated"]
    late = [beat for beat, isolation in _false(beats, rounds) if beat.ended > isolation.ended]
    real = [beat for beat in beyond if beat.failing]
    return [
        Figure("checks while isolated", len(inside), at_least=_MONITORS * len(rounds)),
        Figure("of them isolated", len(unknown), at_least=_MONITORS * len(rounds)),
        Figure("of them down", sum(beat.status == "down" for beat in inside), at_most=0),
        Figure("begun so, ended with the network: down", len(late), at_most=0),
        Figure("with the network: false downs", sum(_is_false(beat) for beat in beyond), at_most=0),
        Figure("with the network: the failing target's checks", len(real), at_least=1),
        Figure("not down", sum(beat.status != "down" for beat in real), at_most=0),
    ]


def _notes(beats: Sequence[Beat], rounds: Sequence[Isolation]) -> list[str]:
    shown = []
    for beat, isolation in _false(beats, rounds)[:8]:
        way = "no route" if isolation.routeless else "silence"
        shown.append(
            f"down, {way}: began {beat.began - isolation.began:+.2f} s, ended"
            f" {beat.ended - isolation.ended:+.2f} s after the end, {beat.error},"
            f" {'the failing target' if beat.failing else 'a good target'}"
        )
    return shown


def _during(beats: Sequence[Beat], rounds: Sequence[Isolation]) -> list[Beat]:
    """Checks that began and ended without a network."""
    return [b for b in beats if any(i.began <= b.began and b.ended <= i.ended for i in rounds)]


def _false(beats: Sequence[Beat], rounds: Sequence[Isolation]) -> list[tuple[Beat, Isolation]]:
    """Checks that began without a network and say that the target is down."""
    return [
        (beat, isolation)
        for beat in beats
        for isolation in rounds
        if beat.status == "down" and isolation.began <= beat.began < isolation.ended
    ]


def _meets(beat: Beat, isolation: Isolation) -> bool:
    """Whether a part of the check, or the second around it, had no network."""
    return beat.began < isolation.ended + 1.0 and beat.ended > isolation.began - 1.0


def _is_false(beat: Beat) -> bool:
    return beat.status == "down" and not beat.failing


FAULTS = (
    Fault(
        id="F19",
        title="the datacenter has no network but for the database",
        demanded="0 checks called down while isolated; with the network, a failing target is down",
        run=_run,
    ),
)
