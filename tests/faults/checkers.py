"""Does the history break a promise? Each checker answers with one figure, or with the breaches."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from tests.faults.history import Beat, Execution, History, Where
from tests.faults.target import Request
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.schedule.plan import Grid, grid

# A killed agent may lose what it had not yet written: a check, the wait of 50 ms for the group,
# its fsync; the rest is patience with a busy machine.
UNSPOOLED_S = 0.5
# What the killed agent sent may arrive that much after the kill.
ARRIVING_S = 0.1
# A request comes after its check was started, by clocks that differ that much at most.
_CLOCKS_DIFFER_S = 0.05
_LONGEST_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A moment at which a check of a monitor is due."""

    monitor: int
    slot_ms: int


def overlap_s(history: History) -> float:
    """C1: for how long checks of an earlier term went on after the first of a later one."""
    first = first_checks(history)
    last: dict[int, float] = {}
    for beat in history.checks():
        last[beat.what.term] = max(last.get(beat.what.term, -math.inf), beat.executed)
    worst, latest = 0.0, -math.inf
    for term in sorted(first):
        worst = max(worst, latest - first[term])
        latest = max(latest, last[term])
    return worst


def first_checks(history: History) -> dict[int, float]:
    """When the first check of each term was started."""
    first: dict[int, float] = {}
    for beat in history.checks():
        first[beat.what.term] = min(first.get(beat.what.term, math.inf), beat.executed)
    return first


def last_started(history: History) -> dict[int, float]:
    """When the newest slot of each term that was started was due.

    An agent starts slots in their order. So when it was stopped dead, what was due later than this
    had not been started, and what was due earlier and is missing was passed over.
    """
    last: dict[int, float] = {}
    for beat in history.checks():
        due = beat.what.slot_ms / 1000
        last[beat.what.term] = max(last.get(beat.what.term, -math.inf), due)
    return last


def started_after_their_term(history: History) -> list[Beat]:
    """C1: checks of a term that were started when the next one had begun, wherever they are."""
    ends = {term.number: after.started for term, after in pairwise(history.terms)}
    return [
        beat
        for beat in history.checks()
        if beat.what.term in ends and beat.executed >= ends[beat.what.term]
    ]


def missing(history: History) -> list[Slot]:
    """C2: slots between the first and the last heartbeat of each monitor that have none."""
    slots: dict[int, set[int]] = defaultdict(set)
    for beat in history.beats:
        if beat.where is not Where.ASIDE:
            slots[beat.what.monitor].add(beat.what.slot_ms)
    gone = []
    for monitor, there in slots.items():
        step = _grid(history, monitor).interval_ms
        due = range(min(there), max(there) + 1, step)
        gone += [Slot(monitor, slot) for slot in due if slot not in there]
    return gone


def outside(slots: Iterable[Slot], gaps: Sequence[tuple[float, float]]) -> list[Slot]:
    """The slots that were due while no gap (from, to) explains why there was no check."""
    return [
        slot
        for slot in slots
        if not any(begin <= slot.slot_ms / 1000 <= end for begin, end in gaps)
    ]


def placed(slots: Sequence[Slot], gaps: Sequence[tuple[float, float]], most: int = 5) -> list[str]:
    """In words, where these slots lie beside the nearest gap, for whoever has to explain them."""
    said = []
    for slot in slots[:most]:
        due = slot.slot_ms / 1000
        beside = [(begin - due, "before") for begin, _ in gaps if begin > due]
        beside += [(due - end, "after") for _, end in gaps if end < due]
        seconds, side = min(beside, default=(0.0, "without"))
        said.append(f"monitor {slot.monitor} was due {seconds:.3f} s {side} a gap")
    return said


def doubled(history: History) -> int:
    """C2: executions counted more than once, and slots with more than one heartbeat that counts.

    A row may be stored and still wait in the spool of an agent that was killed between the two.
    """
    kept = Counter(beat.what for beat in history.beats if beat.where is not Where.SPOOLED)
    stored = Counter(
        (beat.what.monitor, beat.what.slot_ms)
        for beat in history.beats
        if beat.where is Where.STORED
    )
    return sum(kept.values()) - len(kept) + sum(stored.values()) - len(stored)


def gaps_after(history: History, kills: Sequence[float]) -> list[tuple[float, float]]:
    """For each kill of an agent, the time in which it may have cost a check.

    It begins with the checks that had no time to reach the disk, and ends with the next check of
    whoever is alive. A kill of the standby makes it short by itself.
    """
    times = sorted(beat.executed for beat in history.checks())
    gaps = []
    for at in kills:
        after = bisect_right(times, at + ARRIVING_S)
        gaps.append((at - UNSPOOLED_S, times[after] if after < len(times) else math.inf))
    return gaps


def lost(history: History, acknowledged: Iterable[Execution]) -> int:
    """C2: slots of heartbeats once seen on the disk of an agent that have none anywhere now."""
    there = {Slot(beat.what.monitor, beat.what.slot_ms) for beat in history.beats}
    return len({Slot(what.monitor, what.slot_ms) for what in acknowledged} - there)


def longest_gap_s(history: History) -> float:
    """C3: the longest time that any monitor was without a started check."""
    started: dict[int, list[float]] = defaultdict(list)
    for beat in history.checks():
        started[beat.what.monitor].append(beat.executed)
    return max(
        (after - before for times in started.values() for before, after in pairwise(sorted(times))),
        default=0.0,
    )


def unrecorded(history: History, requests: Iterable[Request]) -> list[Request]:
    """C2: requests that the target saw and of which there is no heartbeat anywhere."""
    times: dict[int, list[float]] = defaultdict(list)
    for beat in history.checks():
        times[beat.what.monitor].append(beat.executed)
    for started in times.values():
        started.sort()
    taken: set[tuple[int, int]] = set()
    without = []
    for request in sorted(requests, key=attrgetter("at")):
        started = times[request.monitor]
        last = bisect_right(started, request.at + _CLOCKS_DIFFER_S) - 1
        key = (request.monitor, last)
        if last < 0 or request.at - started[last] > _LONGEST_CHECK_S or key in taken:
            without.append(request)
        taken.add(key)
    return without


def repeated(history: History, requests: Iterable[Request]) -> list[Request]:
    """Those whose slot has a heartbeat all the same: a later leader ran it again, and it counts."""
    there = {(beat.what.monitor, beat.what.slot_ms) for beat in history.beats}
    again = []
    for request in requests:
        slots = _grid(history, request.monitor)
        due = slots.at_or_after(int((request.at + _CLOCKS_DIFFER_S) * 1000) + 1) - slots.interval_ms
        if (request.monitor, due) in there:
            again.append(request)
    return again


def _grid(history: History, monitor: int) -> Grid:
    return grid(MonitorId(monitor), DatacenterId(history.datacenter), history.interval_s)
