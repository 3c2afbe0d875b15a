"""Which check starts now? The loop that turns the grid into running checks."""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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

    async def run(self, check: Check) -> None:
        """Run the check and hand on its heartbeat."""

    def skip(self, check: Check, cause: ErrorType) -> None:
        """Hand on the heartbeat of a check that did not run."""


@dataclass(slots=True)
class _Entry:
    """One monitor's place in the schedule; `turn` keeps its checks from overlapping.

    Of the slots until `done_ms`, each was started or recorded while this agent led; `barred` says
    that since then one passed without permission.
    """

    monitor: Monitor
    slots: Grid
    awaited_ms: int
    done_ms: int
    turn: asyncio.Lock
    term: int | None = None
    barred: bool = False

    def next_after(self, now_ms: int) -> int:
        return self.slots.at_or_after(max(now_ms, self.done_ms + 1))


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
        # A monitor that is removed and comes back waits for its own check in flight.
        self._turns: WeakValueDictionary[MonitorId, asyncio.Lock] = WeakValueDictionary()
        self._changed = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()

    def replace(self, monitors: Iterable[Monitor]) -> None:
        """Make these the monitors. Unchanged ones keep their place; checks in flight go on."""
        now_ms = self._now_ms()
        entries: dict[MonitorId, _Entry] = {}
        for monitor in monitors:
            old = self._entries.get(monitor.id)
            if old is not None and old.monitor == monitor:
                entries[monitor.id] = old
                continue
            slots = grid(monitor.id, self._datacenter, monitor.interval_s)
            turn = self._turns.setdefault(monitor.id, asyncio.Lock())
            entry = _Entry(monitor, slots, 0, -1 if old is None else old.done_ms, turn)
            entry.awaited_ms = entry.next_after(now_ms)
            entries[monitor.id] = entry
        self._entries = entries
        self._arrange()
        self._changed.set()

    def catch_up(self, latest: Mapping[MonitorId, datetime]) -> None:
        """Run at once the last slot of each monitor that nobody ran, as a new leader's first act.

        `latest` has the newest slot that is stored. A monitor without one was never checked here;
        its first check comes with its first slot, so that new monitors make no burst.
        """
        now_ms = self._now_ms()
        for key, slot in latest.items():
            entry = self._entries.get(key)
            if entry is None:
                continue
            last_ms = entry.slots.at_or_after(now_ms + 1) - entry.slots.interval_ms
            if _moment(slot) < last_ms and entry.done_ms < last_ms:
                entry.done_ms = last_ms
                self._spawn(entry, last_ms, now_ms + entry.slots.tolerance_ms())

    async def run(self) -> None:
        """Start checks for ever."""
        while True:
            self._changed.clear()
            self._start_due()
            await self._wait()

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
            self._arrange()
        self._latest_ms = now_ms

    def _start_due(self) -> None:
        now_ms = self._now_ms()
        self._follow_step_back(now_ms)
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
        """Start what is due, and record the slots that passed in this term without a check.

        Slots that passed before the term were another agent's, or are in nobody's account.
        """
        same_term = entry.term == origin.term
        since_ms = entry.next_after(0 if same_term else entry.awaited_ms)
        decision = due(entry.slots, since_ms, now_ms)
        if same_term:
            cause = ErrorType.SKIPPED_LEASE if entry.barred else ErrorType.SKIPPED_STALL
            for slot_ms in decision.missed:
                self._runner.skip(_check(entry.monitor, slot_ms, origin), cause)
            if decision.unrecorded:
                self._log.slots_unrecorded(entry.monitor, decision.unrecorded)
        entry.awaited_ms, entry.done_ms = decision.next, decision.next - entry.slots.interval_ms
        entry.term, entry.barred = origin.term, False
        if decision.run is not None:
            self._spawn(entry, decision.run, decision.run + entry.slots.tolerance_ms())

    def _spawn(self, entry: _Entry, slot_ms: int, last_start_ms: int) -> None:
        name = f"check:{entry.monitor.id}@{slot_ms}"
        task = asyncio.create_task(self._run_slot(entry, slot_ms, last_start_ms), name=name)
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _run_slot(self, entry: _Entry, slot_ms: int, last_start_ms: int) -> None:
        waiting = (entry.monitor, slot_ms)
        if not await self._acquire(entry.turn, last_start_ms, waiting):
            self._skip(*waiting, ErrorType.SKIPPED_OVERRUN)
            return
        try:
            if not await self._acquire(self._free, last_start_ms, waiting):
                self._skip(*waiting, ErrorType.SKIPPED_OVERLOAD)
                return
            try:
                # Asked at the last moment: a check starts only before the deadline of the lease.
                if (origin := self._permit()) is not None:
                    await self._runner.run(_check(entry.monitor, slot_ms, origin))
            finally:
                self._free.release()
        finally:
            entry.turn.release()

    async def _acquire(
        self,
        what: asyncio.Lock | asyncio.Semaphore,
        until_ms: int,
        waiting: tuple[Monitor, int],
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
            self._skip(*waiting, ErrorType.STOPPED)
            raise
        return True

    def _skip(self, monitor: Monitor, slot_ms: int, cause: ErrorType) -> None:
        if (origin := self._permit()) is not None:
            self._runner.skip(_check(monitor, slot_ms, origin), cause)

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
