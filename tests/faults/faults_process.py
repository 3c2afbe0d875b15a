"""A leader that is killed, stopped or paused: who checks, how soon, and never two at once."""

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.faults import checkers
from tests.faults.history import History, Where
from tests.faults.installation import Installation, installation
from tests.faults.pair import Pair, leader, pair, term, until_checked
from tests.faults.report import Fault, Figure, Outcome, Scale, percentile, say
from tests.support.postgres import frozen
from tests.support.servers import Address, mute, serve
from uptimeo.storage.database import Connection

_MONITORS = 40  # one is due every 25 ms, which is the resolution of the figures
_NO_CRASH = ("fsync=off",)  # only agents die here
_TAKEOVER_S = 3.6
_TOLERANCE_S = 0.25  # how late a check of every second may start
_SHORT_PAUSES_S = (1.0, 6.0)
_SILENT = 5  # monitors of a target that never answers
_HUNG_S = 6.0  # some of the stops come before the leader has noticed, some after its deadline
_STOP_S = 2.0


@dataclass(frozen=True, slots=True)
class _End:
    """When a term was ended by the fault, and since when its checks may be lost."""

    term: int
    at: float
    doubtful_since: float


async def _killed(scale: Scale) -> Outcome:
    runs = 30 if scale is Scale.FULL else 3
    async with installation(options=_NO_CRASH) as place:
        await place.add_monitors(_MONITORS)
        async with pair(place) as agents, await place.connect() as connection:
            ends = [await _kill_leader(agents, connection) for _ in range(runs)]
            await agents.stop()
        history = await place.history()
    taken = _takeovers(history, ends)
    return _outcome(
        runs,
        history,
        ends,
        Figure("p50", percentile(taken, 50), "s", at_most=2.8),
        Figure("max", max(taken), "s", at_most=_TAKEOVER_S),
    )


async def _kill_leader(agents: Pair, connection: Connection) -> _End:
    await asyncio.sleep(random.uniform(0.5, 2.0))
    name, ended = await leader(connection), await term(connection)
    at = await agents.kill(name)
    await until_checked(connection, ended + 1)
    await agents.start_as_standby(name)
    say(f"{name} was killed in term {ended}")
    return _End(ended, at, at - checkers.UNSPOOLED_S)


async def _stopped(scale: Scale) -> Outcome:
    runs = 30 if scale is Scale.FULL else 3
    codes: list[int] = []
    async with installation(options=_NO_CRASH) as place:
        await place.add_monitors(_MONITORS)
        async with pair(place) as agents, await place.connect() as connection:
            ends = [await _stop_leader(agents, connection, codes) for _ in range(runs)]
            await agents.stop()
        history = await place.history()
    taken = _takeovers(history, ends)
    return _outcome(
        runs,
        history,
        ends,
        Figure("p50", percentile(taken, 50), "s"),
        Figure("p99", percentile(taken, 99), "s"),
        Figure("max", max(taken), "s", at_most=1.0),
        Figure("exit codes that are not 0", sum(code != 0 for code in codes), at_most=0),
    )


async def _stop_leader(agents: Pair, connection: Connection, codes: list[int]) -> _End:
    await asyncio.sleep(random.uniform(0.5, 2.0))
    name, ended = await leader(connection), await term(connection)
    at = time.time()
    agents.agents[name].signal(signal.SIGTERM)
    codes.append(await agents.ended(name))
    await until_checked(connection, ended + 1)
    await agents.start_as_standby(name)
    say(f"{name} was stopped in term {ended}")
    return _End(ended, at, at)


async def _stopped_while_hung(scale: Scale) -> Outcome:
    runs = 20 if scale is Scale.FULL else 2
    took: list[float] = []
    codes: list[int] = []
    async with installation(options=_NO_CRASH) as place, serve(mute) as silent:
        await _watch_silent(place, silent)
        ends = [await _stop_hung(place, took, codes) for _ in range(runs)]
        await _drain(place)
        history = await place.history()
    return _outcome(
        runs,
        history,
        ends,
        Figure("end after the signal: p50", percentile(took, 50), "s"),
        Figure("max", max(took), "s", at_most=_STOP_S),
        Figure("exit codes that are not 0", sum(code != 0 for code in codes), at_most=0),
        Figure("left in a spool", _spooled(history), at_most=0),
    )


async def _watch_silent(place: Installation, silent: Address) -> None:
    """Monitors of the target, and some whose checks are in flight at any time."""
    ids = await place.add_monitors(_MONITORS)
    async with await place.connect() as connection:
        await connection.execute(
            "UPDATE api_monitors SET url = %s WHERE id = ANY(%s)", (silent.url(), ids[:_SILENT])
        )


async def _stop_hung(place: Installation, took: list[float], codes: list[int]) -> _End:
    async with place.agent("agent-a") as agent:
        ended = int((await agent.event("lease_acquired"))["term"])
        async with await place.connect() as connection:
            await until_checked(connection, ended)
        await asyncio.sleep(random.uniform(0.5, 1.5))
        with frozen(place.directory):
            await asyncio.sleep(random.uniform(0.0, _HUNG_S))
            at = time.time()
            agent.signal(signal.SIGTERM)
            codes.append(await agent.ended())
            took.append(time.time() - at)
    say(f"the agent of term {ended} ended after {took[-1]:.2f} s, the database hanging")
    return _End(ended, at, at)


async def _drain(place: Installation) -> None:
    """Have the next term bring in what the last one left."""
    async with place.agent("agent-a") as agent:
        await agent.event("lease_acquired")
        await asyncio.sleep(2.0)
        agent.signal(signal.SIGTERM)
        await agent.ended()


def _spooled(history: History) -> int:
    return sum(beat.where is Where.SPOOLED for beat in history.beats)


async def _paused(scale: Scale) -> Outcome:
    pauses = [random.uniform(0.5, 15.0) for _ in range(20)]
    if scale is Scale.SHORT:
        pauses = list(_SHORT_PAUSES_S)
    async with installation(options=_NO_CRASH) as place:
        await place.add_monitors(_MONITORS)
        async with pair(place) as agents, await place.connect() as connection:
            found = [await _pause_leader(agents, connection, pause) for pause in pauses]
            await agents.stop()
        history = await place.history()
    ends = _since_the_last_start(history, [end for end in found if end is not None])
    waits = _waits_at_the_stop(history, ends)
    long = sum(pause > _TAKEOVER_S for pause in pauses)
    return _outcome(
        len(pauses),
        history,
        ends,
        Figure("takeovers", len(ends), at_least=long),
        Figure("max", max(_takeovers(history, ends), default=0.0), "s", at_most=_TAKEOVER_S),
        Figure("slots due and not yet started at the stop", len(waits)),
        Figure("the longest wait of them", max(waits, default=0.0), "s", at_most=_TOLERANCE_S),
    )


def _since_the_last_start(history: History, ends: Sequence[_End]) -> list[_End]:
    """A slot is in the gap of a stop if it had not been started by then, and only if."""
    last = checkers.last_started(history)
    return [replace(end, doubtful_since=last[end.term]) for end in ends]


def _waits_at_the_stop(history: History, ends: Sequence[_End]) -> list[float]:
    """How long each slot that was due before a stop had been waiting for its start."""
    due = [slot.slot_ms / 1000 for slot in checkers.missing(history)]
    return [end.at - at for end in ends for at in due if end.doubtful_since <= at <= end.at]


async def _pause_leader(agents: Pair, connection: Connection, pause: float) -> _End | None:
    """The end of its term, or None if it went on with it."""
    await asyncio.sleep(random.uniform(0.5, 2.0))
    name, before = await leader(connection), await term(connection)
    at = time.time()
    agents.agents[name].signal(signal.SIGSTOP)
    await asyncio.sleep(pause)
    agents.agents[name].signal(signal.SIGCONT)
    await asyncio.sleep(1.5)  # time for a mistake
    now = await term(connection)
    say(f"{name} was paused for {pause:.1f} s in term {before}; the term is {now}")
    if now == before:
        return None
    await agents.agents[name].event("standing_by", term=now)
    await until_checked(connection, now)
    return _End(before, at, at)


def _takeovers(history: History, ends: Sequence[_End]) -> list[float]:
    first = checkers.first_checks(history)
    return [first[end.term + 1] - end.at for end in ends]


def _outcome(runs: int, history: History, ends: Sequence[_End], *own: Figure) -> Outcome:
    """Its own figures, and what holds for every end of a leader.

    Between the end and the first check of the next term, and only there, a slot may be without.
    """
    first = checkers.first_checks(history)
    gaps = [(end.doubtful_since, first[end.term + 1]) for end in ends]
    missing = checkers.missing(history)
    lost = checkers.outside(missing, gaps)
    late = checkers.started_after_their_term(history)
    figures = [
        *own,
        Figure("overlap", checkers.overlap_s(history), "s", at_most=0),
        Figure("checks after their term", len(late), at_most=0),
        Figure("other changes of leader", len(history.terms) - 1 - len(ends), at_most=0),
        Figure("slots due in the gaps", len(missing) - len(lost)),
        Figure("slots lost elsewhere", len(lost), at_most=0),
        Figure("doubled", checkers.doubled(history), at_most=0),
    ]
    return Outcome(runs=runs, figures=figures, notes=checkers.placed(lost, gaps))


FAULTS = (
    Fault(
        id="F1",
        title="leader killed with SIGKILL",
        demanded="first check of the other: p50 <= 2.8 s, max <= 3.6 s; overlap 0",
        run=_killed,
    ),
    Fault(
        id="F2",
        title="leader stopped with SIGTERM",
        demanded="first check of the other: max < 1 s; exit code 0; overlap 0; nothing lost",
        run=_stopped,
    ),
    Fault(
        id="F2b",
        title="leader stopped with SIGTERM while the database hangs (its processes stand still)",
        demanded="end of the process: max < 2 s; exit code 0; nothing lost",
        run=_stopped_while_hung,
    ),
    Fault(
        id="F3",
        title="leader paused with SIGSTOP for 0.5 to 15 s, then SIGCONT",
        demanded="takeover <= 3.6 s; no check of the old one after its term; overlap 0",
        run=_paused,
    ),
)
