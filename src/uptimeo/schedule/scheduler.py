"""Which check starts now? The loop that turns the grid into running checks."""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from uptimeo.clock import EPOCH, ServerClock
from uptimeo.domain.check import Check
from uptimeo.domain.heartbeat import Origin
from uptimeo.domain.monitor import DatacenterId, Monitor, MonitorId
from uptimeo.domain.result import ErrorType
from uptimeo.schedule.plan import Grid, due, grid
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import Log

_LONGEST_SLEEP_S = 1.0
_PATIENCE_S = 0.5
_STEP_MS = 500


class Runner(Protocol):
    """What the scheduler needs of the check runner."""

    async def run(self, check: Check) -> bool:
        """Run the check and hand on its heartbeat; false if it had lost permission by then."""

    def skip(self, check: Check, cause: ErrorType) -> None:
        """Hand on the heartbeat of a check that did not run."""


@dataclass(slots=True)
class _Entry:
    """One monitor's place in the schedule; `turn` keeps its checks from overlapping.

    Of the slots until `done_ms`, each was started or recorded while this agent led. From
    `ours_ms` on, each is this agent's to start or to record, as long as the term lasts. `barred`
    says that one passed without permission; `owed` were due, and had none left at their start.
    """

    monitor: Monitor
    slots: Grid
    awaited_ms: int
    done_ms: int
    ours_ms: int
    turn: asyncio.Lock
    barred: bool = False
    owed: list[int] = field(default_factory=list)

    def next_after(self, now_ms: int) -> int:
        return self.slots.at_or_after(max(now_ms, self.done_ms + 1))

    def begin_term(self, now_ms: int) -> None:
        """What passed before is another agent's; the slot that may still start is not."""
        first = due(self.slots, self.next_after(self.awaited_ms), now_ms)
        self.ours_ms = first.next if first.run is None else first.run
        self.barred = False
        self.owed.clear()


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot on its way to its start; where it goes when it does not get there is `owed`."""

    monitor: Monitor
    at_ms: int
    term: int | None
    owed: list[int]


class Scheduler:
    """Starts each due check once, late by at most its tolerance, or records why it did not.

    `permit` answers with the leadership under which a check may start at this moment, or None;
    without it, slots pass in silence, for they are another agent's.
    """

    def __init__(
        self,
        *,
        datacenter: DatacenterId,
        runner: Runner,
        permit: Callable[[], Origin | None],
        clock: ServerClock,
        max_running: int,
        log: Log,
    ) -> None:
        self._datacenter = datacenter
        self._runner = runner
        self._permit = permit
        self._clock = clock
        self._free = asyncio.Semaphore(max_running)
        self._log = log
        self._entries: dict[MonitorId, _Entry] = {}
        self._heap: list[tuple[int, MonitorId]] = []
        self._latest_ms = 0
        self._term: int | None = None
        # A monitor that is removed and comes back waits for its own check in flight.
        self._turns: WeakValueDictionary[MonitorId, asyncio.Lock] = WeakValueDictionary()
        self._changed = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()

    def replace(self, monitors: Iterable[Monitor]) -> None:
        """Make these the monitors. Unchanged ones keep their place; checks in flight go on."""
        now_ms = self._now_ms()
        entries: dict[MonitorId, _Entry] = {}
        for monitor in monitors:
            entries[monitor.id] = self._entry(monitor, now_ms)
        self._entries = entries
        self._arrange()
        self._changed.set()

    def _entry(self, monitor: Monitor, now_ms: int) -> _Entry:
        old = self._entries.get(monitor.id)
        slots = grid(monitor.id, self._datacenter, monitor.interval_s)
        if old is not None and old.slots == slots:
            # Also when it has changed: a slot may be due and not yet started.
            return old if old.monitor == monitor else replace(old, monitor=monitor)
        turn = self._turns.setdefault(monitor.id, asyncio.Lock())
        entry = _Entry(monitor, slots, 0, -1 if old is None else old.done_ms, 0, turn)
        entry.owed = entry.owed if old is None else old.owed
        entry.awaited_ms = entry.ours_ms = entry.next_after(now_ms)
        return entry

    def catch_up(self, latest: Mapping[MonitorId, datetime]) -> bool:
        """Run at once the last slot of each monitor that nobody ran, as a new leader's first act.

        `latest` has the newest slot that is stored. A monitor without one was never checked here;
        its first check comes with its first slot, so that new monitors make no burst. False, and
        nothing is done, without permission.
        """
        now_ms = self._now_ms()
        if (origin := self._permit()) is None:
            return False
        self._begin_term(origin, now_ms)
        for key, slot in latest.items():
            entry = self._entries.get(key)
            if entry is None:
                continue
            last_ms = entry.slots.at_or_after(now_ms + 1) - entry.slots.interval_ms
            if _moment(slot) < last_ms and entry.done_ms < last_ms:
                entry.done_ms = last_ms
                self._spawn(entry, last_ms, now_ms + entry.slots.tolerance_ms())
        return True

    async def run(self) -> None:
        """Start checks until cancelled: the last are those that are due by then."""
        try:
            while True:
                self._changed.clear()
                self._start_due()
                await self._wait()
        except asyncio.CancelledError:
            self._start_due()  # the end may come in the moment of a slot
            raise

    def in_flight(self) -> int:
        """How many checks are under way, those that wait for their turn or a place included."""
        return len(self._checks)

    async def stop(self, grace_s: float) -> None:
        """Wait for the checks in flight, then abandon the rest; each leaves a heartbeat."""
        if self._checks:
            _, late = await asyncio.wait(self._checks, timeout=grace_s)
            await cancel_all(late, _PATIENCE_S)

    def _arrange(self) -> None:
        self._heap = [(entry.awaited_ms, key) for key, entry in self._entries.items()]
        heapq.heapify(self._heap)

    def _follow_step_back(self, now_ms: int) -> None:
        """Await the slots that a clock set back has yet to reach, but none of them twice.

        The host's own clock, in force until the first answer of the database, may be hours ahead.
        """
        if now_ms < self._latest_ms - _STEP_MS:
            for entry in self._entries.values():
                entry.awaited_ms = entry.next_after(now_ms)
                entry.ours_ms = min(entry.ours_ms, entry.awaited_ms)
            self._arrange()
        self._latest_ms = now_ms

    def _begin_term(self, origin: Origin, now_ms: int) -> None:
        """At the first sight of a term, every slot to come becomes this agent's."""
        if origin.term != self._term:
            self._term = origin.term
            for entry in self._entries.values():
                entry.begin_term(now_ms)

    def _start_due(self) -> None:
        now_ms = self._now_ms()
        self._follow_step_back(now_ms)
        if (seen := self._permit()) is not None:
            self._begin_term(seen, now_ms)
        while self._heap and self._heap[0][0] <= now_ms:
            _, key = heapq.heappop(self._heap)
            entry = self._entries[key]
            if (origin := self._permit()) is None:
                entry.barred = True
                entry.awaited_ms = entry.next_after(now_ms + 1)
            else:
                self._start(entry, origin, now_ms)
            heapq.heappush(self._heap, (entry.awaited_ms, key))

    def _start(self, entry: _Entry, origin: Origin, now_ms: int) -> None:
        """Start what is due, and record the slots of this term that passed without a check.

        What was already late when the term began is left: catching up may still run it.
        """
        decision = due(entry.slots, entry.next_after(entry.ours_ms), now_ms)
        self._record(entry, entry.owed, ErrorType.SKIPPED_LEASE, origin)
        entry.owed.clear()
        cause = ErrorType.SKIPPED_LEASE if entry.barred else ErrorType.SKIPPED_STALL
        self._record(entry, decision.missed, cause, origin)
        if decision.unrecorded:
            self._log.slots_unrecorded(entry.monitor, decision.unrecorded)
        if decision.run is not None or decision.missed:
            entry.done_ms = decision.next - entry.slots.interval_ms
        entry.awaited_ms, entry.barred = decision.next, False
        if decision.run is not None:
            self._spawn(entry, decision.run, decision.run + entry.slots.tolerance_ms())

    def _record(
        self, entry: _Entry, slots_ms: Iterable[int], cause: ErrorType, origin: Origin
    ) -> None:
        for slot_ms in slots_ms:
            self._runner.skip(_check(entry.monitor, slot_ms, origin), cause)

    def _spawn(self, entry: _Entry, slot_ms: int, last_start_ms: int) -> None:
        name = f"check:{entry.monitor.id}@{slot_ms}"
        slot = _Slot(entry.monitor, slot_ms, self._term, entry.owed)
        task = asyncio.create_task(self._run_slot(slot, entry.turn, last_start_ms), name=name)
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _run_slot(self, slot: _Slot, turn: asyncio.Lock, last_start_ms: int) -> None:
        if not await self._acquire(turn, last_start_ms, slot):
            self._skip(slot, ErrorType.SKIPPED_OVERRUN)
            return
        try:
            if not await self._acquire(self._free, last_start_ms, slot):
                self._skip(slot, ErrorType.SKIPPED_OVERLOAD)
                return
            try:
                # Asked at the last moment: a check starts only before the deadline of the lease.
                origin = self._permit()
                if origin is None or not await self._runner.run(
                    _check(slot.monitor, slot.at_ms, origin)
                ):
                    self._owe(slot)
            finally:
                self._free.release()
        finally:
            turn.release()

    async def _acquire(
        self,
        what: asyncio.Lock | asyncio.Semaphore,
        until_ms: int,
        slot: _Slot,
    ) -> bool:
        """Whether the turn came in time; a check that the stop finds waiting is recorded too."""
        if not what.locked():
            await what.acquire()
            return True
        try:
            async with asyncio.timeout((until_ms - self._now_ms()) / 1000):
                await what.acquire()
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._skip(slot, ErrorType.STOPPED)
            raise
        return True

    def _skip(self, slot: _Slot, cause: ErrorType) -> None:
        if (origin := self._permit()) is not None:
            self._runner.skip(_check(slot.monitor, slot.at_ms, origin), cause)
        else:
            self._owe(slot)

    def _owe(self, slot: _Slot) -> None:
        """A process that was stopped after the slot was due: if its term goes on, it says so."""
        if slot.term == self._term:
            slot.owed.append(slot.at_ms)

    async def _wait(self) -> None:
        """Until the next slot or a change; never long, since the server's clock may step."""
        delay = _LONGEST_SLEEP_S
        if self._heap:
            delay = min(delay, (self._heap[0][0] - self._now_ms()) / 1000)
        try:
            async with asyncio.timeout(max(0.0, delay)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _now_ms(self) -> int:
        return _moment(self._clock.now())


def _check(monitor: Monitor, slot_ms: int, origin: Origin) -> Check:
    return Check(monitor=monitor, scheduled_at=_instant(slot_ms), origin=origin)


def _moment(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)


def _instant(moment_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=moment_ms)
