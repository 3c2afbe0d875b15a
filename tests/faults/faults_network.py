"""Who checks when a link breaks? Cuts between the leader and the database, and vanished hosts."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.faults import checkers
from tests.faults.history import History, Where
from tests.faults.network import AGENTS, DATABASE, REFERENCES, Divided, Visit, Way, divided
from tests.faults.report import Fault, Figure, Outcome, Scale, percentile, say
from tests.faults.slow_link import slow_link
from tests.faults.target import Request
from tests.support.agents import Running
from uptimeo.storage.database import one

# Slots are spread over a second: with so many, the first check of a new term is not far.
_MONITORS = 25
_TAKEOVER_S = 3.6
_LAST_CHECK_S = 2.6  # 2.5 s of trust, and the way to the target
_GONE_S = 6.0
_WATCHED_S = 20.0
_SETTLED_S = 40.0
_LOSS, _LOSS_S = 0.3, 60.0
_LED_S = 3.0
_FAR_S = 0.3
_LEADER = "SELECT holder_name, term FROM agent_leases WHERE datacenter_id = 1"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet"
_RECORDED = """
SELECT response_server::int FROM api_heartbeats WHERE response_server IS NOT NULL
UNION ALL
SELECT (payload::jsonb ->> 'response_server')::int FROM api_heartbeats_set_aside
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One round: `old` led `term` until its link was broken at `at`, healed at `healed`."""

    old: str
    new: str
    term: int
    at: float
    healed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known after the rounds: by the database, by the target, and what is in neither."""

    cuts: Sequence[Cut]
    history: History
    visits: Sequence[tuple[str, Visit]]
    refused: int
    lost: int

    def takeovers(self) -> list[float]:
        """From each cut to the first check of the next term, as its heartbeat says."""
        first: dict[int, float] = {}
        for beat in self.history.checks():
            term = beat.what.term
            first[term] = min(first.get(term, beat.executed), beat.executed)
        return [first[cut.term + 1] - cut.at for cut in self.cuts]

    def last_checks(self) -> list[float]:
        """From each cut to the last check of the old leader before it was healed."""
        return [max(self._visits(cut, cut.old), default=cut.at) - cut.at for cut in self.cuts]

    def both_ran(self) -> list[float]:
        """From the new leader's first check to the old one's last, as the target saw them."""
        lasted = []
        for cut in self.cuts:
            began = min(self._visits(cut, cut.new), default=cut.healed)
            ended = max(self._visits(cut, cut.old), default=cut.at)
            lasted.append(max(0.0, ended - began))
        return lasted

    def late(self, where: Where) -> int:
        """Checks of a term that started after the next had begun, found there."""
        late = checkers.started_after_their_term(self.history)
        return sum(beat.where is where for beat in late)

    def _visits(self, cut: Cut, agent: str) -> list[float]:
        return [v.at for who, v in self.visits if who == agent and cut.at <= v.at <= cut.healed]


@asynccontextmanager
async def pair(site: Divided, **environment: str) -> AsyncIterator[Mapping[str, Running]]:
    """Both agents: the first leads, the second stands by."""
    async with AsyncExitStack() as stack:
        agents = {}
        for name, event in zip(AGENTS, ("lease_acquired", "standing_by"), strict=True):
            agents[name] = await stack.enter_async_context(site.agent(name, **environment))
            await agents[name].event(event)
        await asyncio.sleep(2.0)  # the first checks
        yield agents


async def leader(site: Divided) -> tuple[str, int]:
    """Who leads by the database, in which term."""
    async with await site.place.connect() as connection:
        row = await (await connection.execute(_LEADER)).fetchone()
    assert row is not None
    return row[0], row[1]


def other(agent: str) -> str:
    """The other one."""
    return AGENTS[1 - AGENTS.index(agent)]


async def told(site: Divided, cuts: Sequence[Cut], patience_s: float = _SETTLED_S) -> Told:
    """The history, once every check that the target saw is recorded, or is not for a long time.

    The new leader runs the last slot again that is not stored. If the old one's heartbeat of it
    comes later, it is refused as a double: its slot is recorded, itself it is not.
    """
    visits, deadline = list(site.witness.visits), time.monotonic() + patience_s
    while True:
        history = await site.place.history()
        alone = await _without_heartbeat(site, visits)
        again = checkers.repeated(history, [Request(v.monitor, v.at) for v in alone])
        if len(again) == len(alone) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return Told(
        cuts=cuts,
        history=history,
        visits=[(site.network.agent_at(v.address), v) for v in visits],
        refused=len(again),
        lost=len(alone) - len(again),
    )


async def _without_heartbeat(site: Divided, visits: Sequence[Visit]) -> list[Visit]:
    async with await site.place.connect() as connection:
        rows = await (await connection.execute(_RECORDED)).fetchall()
    recorded = {number for (number,) in rows}
    return [visit for visit in visits if visit.number not in recorded]


# F4 and F5: links that are cut.


async def _cut(
    site: Divided, agents: Mapping[str, Running], way: Way, *, parted: bool = False
) -> Cut:
    """Cut the leader off until the other has led for a while, heal, and wait for the loser.

    `parted` cuts it off from the other agent as well: nobody can tell it then.
    """
    old, term = await leader(site)
    new, at = other(old), time.time()
    if parted:
        site.network.part()
    site.network.cut(old, way)
    await agents[new].event("lease_acquired", term=term + 1)
    await asyncio.sleep(_LED_S)
    healed = time.time()
    for name in AGENTS if parted else (old,):
        site.network.heal(name)
    await agents[old].event("standing_by", term=term + 1)
    await asyncio.sleep(2.0)
    return Cut(old=old, new=new, term=term, at=at, healed=healed)


async def _cut_often(mode: str, ways: Sequence[Way], *, parted: bool = False) -> Told:
    async with divided() as site:
        await site.place.add_monitors(_MONITORS)
        async with pair(site, UPTIMEO_OFFLINE=mode) as agents:
            cuts = []
            for way in ways:
                cuts.append(await _cut(site, agents, way, parted=parted))
                say(f"  {mode}, {way.value}: {len(cuts)} of {len(ways)}")
            return await told(site, cuts)


async def _cut_off(scale: Scale) -> Outcome:
    each = 10 if scale is Scale.FULL else 1
    strict = await _cut_often("strict", [Way.BOTH] * each)
    going_on = await _cut_often("continue", [Way.BOTH] * each)
    return Outcome(
        runs=2 * each,
        figures=(
            *_takeover_figures([*strict.takeovers(), *going_on.takeovers()]),
            *_fence_figures(strict, going_on),
            Figure("strict: last check after", max(strict.last_checks()), "s", _LAST_CHECK_S),
            Figure("strict: both ran", max(strict.both_ran()), "s", at_most=0),
            Figure("continue: last check after", max(going_on.last_checks()), "s", _LAST_CHECK_S),
            Figure("continue: both ran", max(going_on.both_ran()), "s", at_most=0),
        ),
    )


async def _cut_off_from_all(scale: Scale) -> Outcome:
    each = 5 if scale is Scale.FULL else 1
    strict = await _cut_often("strict", [Way.BOTH] * each, parted=True)
    going_on = await _cut_often("continue", [Way.BOTH] * each, parted=True)
    return Outcome(
        runs=2 * each,
        figures=(
            *_takeover_figures([*strict.takeovers(), *going_on.takeovers()]),
            *_fence_figures(strict, going_on),
            Figure("strict: both ran", max(strict.both_ran()), "s", at_most=0),
            Figure("continue: both ran", max(going_on.both_ran()), "s"),
        ),
        notes=("with `continue` both run while the cut lasts, which nobody can tell them",),
    )


async def _one_way(scale: Scale) -> Outcome:
    each = 4 if scale is Scale.FULL else 1
    ways = [Way.IN, Way.OUT] * each
    found = await _cut_often("continue", ways)
    changes = [b.term - a.term for a, b in zip(found.cuts, found.cuts[1:], strict=False)]
    changes.append(found.history.terms[-1].number - found.cuts[-1].term)
    figures = [
        Figure("changes of leader in a cut", max(changes), at_most=1),
        *_fence_figures(found),
        *(_slowest(found, ways, way) for way in (Way.IN, Way.OUT)),
        Figure("both ran", max(found.both_ran()), "s", at_most=0),
    ]
    if scale is Scale.FULL:
        figures += [*await _lossy(), *await _far()]
    return Outcome(runs=len(ways), figures=figures)


def _slowest(found: Told, ways: Sequence[Way], way: Way) -> Figure:
    times = [s for s, which in zip(found.takeovers(), ways, strict=True) if which is way]
    return Figure(f"takeover, {way.value} only", max(times), "s", at_most=_TAKEOVER_S)


async def _lossy() -> list[Figure]:
    async with divided() as site:
        await site.place.add_monitors(_MONITORS)
        async with pair(site):
            name, term = await leader(site)
            site.network.lose(name, _LOSS)
            await asyncio.sleep(_LOSS_S)
            site.network.heal(name)
            await asyncio.sleep(2.0)
            found = await told(site, [])
    late = found.late(Where.STORED)
    return [
        Figure("30 % loss: changes", found.history.terms[-1].number - term, at_most=1),
        Figure("30 % loss: counted overlap", late, at_most=0),
        Figure("30 % loss: checks lost", found.lost, at_most=0),
    ]


async def _far() -> list[Figure]:
    """The database is 300 ms away, as between continents; its leader is killed at the end."""
    async with divided() as site:
        await site.place.add_monitors(_MONITORS)
        with site.network.inside():
            link = slow_link(REFERENCES[0], DATABASE, 5432, _FAR_S / 2)
            async with link as port:
                dsn = f"{site.dsn}?hostaddr={REFERENCES[0]}&port={port}"
                async with pair(site, DB_CONN_STRING=dsn) as agents:
                    name, term = await leader(site)
                    await asyncio.sleep(_LOSS_S)
                    _, after = await leader(site)
                    at = time.time()
                    agents[name].signal(signal.SIGKILL)
                    await agents[other(name)].event("lease_acquired", term=term + 1)
                    await asyncio.sleep(2.0)
                    history = await site.place.history()
    first = checkers.first_checks(history)
    return [
        Figure("300 ms away: changes", after - term, at_most=0),
        Figure("300 ms away: takeover", first[after + 1] - at, "s", at_most=_TAKEOVER_S + _FAR_S),
        Figure("300 ms away: overlap", checkers.overlap_s(history), "s", at_most=0),
    ]


def _takeover_figures(seconds: Sequence[float]) -> list[Figure]:
    return [
        Figure("takeover p50", percentile(seconds, 50), "s"),
        Figure("takeover max", max(seconds), "s", at_most=_TAKEOVER_S),
    ]


def _fence_figures(*found: Told) -> list[Figure]:
    return [
        Figure("counted overlap", sum(each.late(Where.STORED) for each in found), at_most=0),
        Figure("set aside", sum(each.late(Where.ASIDE) for each in found)),
        Figure("slots doubled", sum(checkers.doubled(each.history) for each in found), at_most=0),
        Figure("refused as doubles", sum(each.refused for each in found)),
        Figure("checks lost", sum(each.lost for each in found), at_most=0),
    ]


# F6: a host that vanishes without a word.


async def _vanish(
    site: Divided, agents: dict[str, Running], stacks: dict[str, AsyncExitStack]
) -> tuple[Cut, float]:
    """Unplug and kill the leader; answers also with how long the server kept its sessions."""
    old, term = await leader(site)
    new, at = other(old), time.time()
    site.network.unplug(old)
    agents[old].signal(signal.SIGKILL)
    await agents[new].event("lease_acquired", term=term + 1)
    while (kept := time.time() - at) < _WATCHED_S and await _sessions(site, old):
        await asyncio.sleep(0.1)
    healed = time.time()
    site.network.heal(old)
    await stacks[old].aclose()
    await _start(site, agents, stacks, old)
    await agents[old].event("standing_by", term=term + 1)
    return Cut(old=old, new=new, term=term, at=at, healed=healed), kept


async def _start(
    site: Divided, agents: dict[str, Running], stacks: dict[str, AsyncExitStack], name: str
) -> None:
    stacks[name] = AsyncExitStack()
    agents[name] = await stacks[name].enter_async_context(site.agent(name))


async def _close(stacks: Mapping[str, AsyncExitStack], name: str) -> None:
    await stacks[name].aclose()


async def _sessions(site: Divided, agent: str) -> int:
    async with await site.place.connect() as connection:
        return int(await one(connection, _SESSIONS, (site.network.address(agent),)))


async def _half_open(scale: Scale) -> Outcome:
    """With the settings that the agents give their sessions; the server has its defaults."""
    times = 10 if scale is Scale.FULL else 1
    async with divided() as site, AsyncExitStack() as ending:
        await site.place.add_monitors(_MONITORS)
        agents: dict[str, Running] = {}
        stacks: dict[str, AsyncExitStack] = {}
        for name, event in zip(AGENTS, ("lease_acquired", "standing_by"), strict=True):
            await _start(site, agents, stacks, name)
            ending.push_async_callback(_close, stacks, name)
            await agents[name].event(event)
        cuts, kept = [], []
        for number in range(times):
            await asyncio.sleep(2.0)
            cut, kept_s = await _vanish(site, agents, stacks)
            cuts.append(cut)
            kept.append(kept_s)
            say(f"  vanished {number + 1} of {times}, sessions {kept_s:.1f} s")
        found = await told(site, cuts, 5.0)  # what was in flight at a kill never comes
    return Outcome(
        runs=times,
        figures=(
            *_takeover_figures(found.takeovers()),
            Figure("sessions gone", max(kept), "s", at_most=_GONE_S),
            Figure("counted overlap", found.late(Where.STORED), at_most=0),
        ),
    )


FAULTS = (
    Fault(
        id="F4",
        title="the leader is cut off from the database, not from the targets",
        demanded="takeover <= 3.6 s; overlap 0, of what ran and of what is counted",
        run=_cut_off,
    ),
    Fault(
        id="F4b",
        title="the leader is cut off from the database and from the other agent",
        demanded="takeover <= 3.6 s; counted overlap 0; strict: nobody else ran",
        run=_cut_off_from_all,
    ),
    Fault(
        id="F5",
        title="one-way cuts and lost packets between the leader and the database",
        demanded="takeover <= 3.6 s; overlap 0; at most 1 change of leader",
        run=_one_way,
    ),
    Fault(
        id="F6",
        title="the leader's host vanishes: no FIN, no RST",
        demanded="takeover <= 3.6 s; the server's sessions gone <= 6 s",
        run=_half_open,
    ),
)
