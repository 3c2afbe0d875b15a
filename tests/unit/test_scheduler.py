"""Does every due check start once, at its slot, and does every other slot say why not?

Time is virtual: an hour of schedule takes milliseconds, and a pause of the process is one call.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.builders import NOON, VA, monitor, origin
from tests.support.fakes import LogBook
from tests.support.virtual_time import VirtualClock, in_virtual_time, running_loop
from uptimeo.clock import EPOCH
from uptimeo.domain.check import Check
from uptimeo.domain.heartbeat import Origin
from uptimeo.domain.monitor import Monitor
from uptimeo.domain.result import ErrorType
from uptimeo.schedule.plan import MAX_RECORDED_SKIPS, grid
from uptimeo.schedule.scheduler import Scheduler

OVERRUN, OVERLOAD, STALL, LEASE = (
    ErrorType.SKIPPED_OVERRUN,
    ErrorType.SKIPPED_OVERLOAD,
    ErrorType.SKIPPED_STALL,
    ErrorType.SKIPPED_LEASE,
)
NOON_2 = NOON + timedelta(hours=2)


class Stage:
    """A scheduler whose checks take as long as `takes` says, and what became of each slot."""

    def __init__(self, max_running: int = 1000) -> None:
        self.clock = VirtualClock(NOON)
        self.book = LogBook()
        self.takes: Callable[[Check], float] = lambda check: 0.0
        self.permits: Callable[[], Origin | None] = origin
        self.refuses: Callable[[Check], bool] = lambda check: False
        self.started: list[Check] = []
        self.lateness_s: list[float] = []
        self.ended: list[Check] = []
        self.cancelled: list[Check] = []
        self.skipped: list[tuple[Check, ErrorType]] = []
        self.running: Counter[int] = Counter()
        self.most_running = 0
        self.overlapped = False
        self.scheduler = Scheduler(
            datacenter=VA,
            runner=self,
            permit=self._permit,
            clock=self.clock,
            max_running=max_running,
            log=self.book.log,
        )

    async def run(self, check: Check) -> bool:
        key = check.monitor.id
        if self.refuses(check):
            return False
        self.started.append(check)
        self.lateness_s.append((self.clock.now() - check.scheduled_at).total_seconds())
        self.overlapped |= self.running[key] > 0
        self.running[key] += 1
        self.most_running = max(self.most_running, self.running.total())
        try:
            await asyncio.sleep(self.takes(check))
        except asyncio.CancelledError:
            self.cancelled.append(check)
            raise
        finally:
            self.running[key] -= 1
        self.ended.append(check)
        return True

    def skip(self, check: Check, cause: ErrorType) -> None:
        self.skipped.append((check, cause))

    def _permit(self) -> Origin | None:
        return self.permits()

    def watch(self, *monitors: Monitor) -> None:
        self.scheduler.replace(monitors)

    def causes(self) -> Counter[ErrorType]:
        return Counter(cause for _, cause in self.skipped)

    def runs(self, number: int = 7) -> list[datetime]:
        """The slots of one monitor that ran, in the order of their start."""
        return [check.scheduled_at for check in self.started if check.monitor.id == number]

    def told(self, number: int = 7) -> list[datetime]:
        """The slots of one monitor that ran or were recorded."""
        missed = [check.scheduled_at for check, _ in self.skipped if check.monitor.id == number]
        return sorted(self.runs(number) + missed)


@asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[Stage]:
    """The scheduler's loop, running."""
    loop = asyncio.create_task(stage.scheduler.run())
    try:
        yield stage
    finally:
        loop.cancel()
        await asyncio.wait({loop})
        await stage.scheduler.stop(0)
    assert loop.cancelled(), loop.exception()


def every_second(number: int = 7, **changes: Any) -> Monitor:
    return monitor(number, interval_s=1, **changes)


def slots_of(subject: Monitor, begin: datetime, end: datetime) -> list[datetime]:
    """The slots of the grid from begin until before the end."""
    slots = grid(subject.id, VA, subject.interval_s)
    first, last = ((moment - EPOCH) // timedelta(milliseconds=1) for moment in (begin, end))
    wanted = range(slots.at_or_after(first), last, slots.interval_ms)
    return [EPOCH + timedelta(milliseconds=slot) for slot in wanted]


def assert_no_slot_twice(stage: Stage) -> None:
    """The natural key of a heartbeat: one slot, one record."""
    recorded = [(c.monitor.id, c.scheduled_at) for c in stage.started]
    recorded += [(c.monitor.id, c.scheduled_at) for c, _ in stage.skipped]
    doubles = [key for key, times in Counter(recorded).items() if times > 1]
    assert not doubles


# The ordinary day.


@in_virtual_time
async def test_every_due_check_runs_once_at_its_slot() -> None:
    monitors = [every_second(number) for number in range(1, 21)]

    async with playing(Stage()) as stage:
        stage.watch(*monitors)
        await asyncio.sleep(60)

    for each in monitors:
        assert stage.runs(each.id) == slots_of(each, NOON, NOON + timedelta(seconds=60))
    assert not stage.skipped


@in_virtual_time
async def test_a_check_starts_at_its_slot_and_not_before() -> None:
    async with playing(Stage()) as stage:
        stage.watch(*(monitor(number, interval_s=5) for number in range(1, 51)))
        await asyncio.sleep(60)

    assert len(stage.lateness_s) == 600
    assert min(stage.lateness_s) >= 0
    assert max(stage.lateness_s) < 0.01


@in_virtual_time
async def test_a_day_has_no_drift() -> None:
    subject = monitor(interval_s=60)

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(86_400)

    assert stage.runs() == slots_of(subject, NOON, NOON + timedelta(days=1))
    assert len(stage.runs()) == 1440


@in_virtual_time
async def test_a_check_carries_the_leadership_under_which_it_runs() -> None:
    mine = origin(term=41)

    async with playing(Stage()) as stage:
        stage.permits = lambda: mine
        stage.watch(every_second())
        await asyncio.sleep(2)

    assert {check.origin for check in stage.started} == {mine}


@in_virtual_time
async def test_without_monitors_it_waits() -> None:
    async with playing(Stage()) as stage:
        await asyncio.sleep(10)
        stage.watch(every_second())
        await asyncio.sleep(10)

    assert len(stage.started) == 10


# Checks that take too long, and too many of them.


@in_virtual_time
async def test_the_checks_of_one_monitor_never_overlap() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 3.1
        stage.watch(every_second())
        await asyncio.sleep(60)

    assert stage.started
    assert not stage.overlapped


@in_virtual_time
async def test_a_slot_whose_predecessor_still_runs_is_recorded_as_overrun() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.takes = lambda check: 3.1
        stage.watch(subject)
        await asyncio.sleep(60)

    # The stop at the end of the stage finds one that waits for its turn.
    assert set(stage.causes()) - {ErrorType.STOPPED} == {OVERRUN}
    assert (
        stage.told() == slots_of(subject, NOON, NOON + timedelta(seconds=60))[: len(stage.told())]
    )
    assert len(stage.told()) >= 59


@in_virtual_time
async def test_a_check_that_ends_just_after_the_next_slot_delays_that_one_only() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 1.2 if len(stage.started) == 1 else 0.0
        stage.watch(every_second())
        await asyncio.sleep(10)

    assert not stage.skipped
    assert stage.lateness_s[1] == pytest.approx(0.2, abs=0.01)
    assert max(stage.lateness_s[2:]) < 0.01


@in_virtual_time
async def test_a_long_check_of_one_monitor_delays_no_other() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 30.0 if check.monitor.id == 1 else 0.0
        stage.watch(every_second(1), every_second(2))
        await asyncio.sleep(20)

    assert len(stage.runs(2)) == 20


@in_virtual_time
async def test_never_more_checks_run_than_allowed() -> None:
    async with playing(Stage(max_running=3)) as stage:
        stage.takes = lambda check: 0.2
        stage.watch(*(every_second(number) for number in range(1, 31)))
        await asyncio.sleep(20)

    assert stage.most_running == 3


@in_virtual_time
async def test_a_check_that_finds_no_room_is_recorded_as_overload() -> None:
    monitors = [every_second(number) for number in range(1, 6)]

    async with playing(Stage(max_running=1)) as stage:
        stage.takes = lambda check: 100.0
        stage.watch(*monitors)
        await asyncio.sleep(2)
        first = stage.started[0].monitor.id

    assert len(stage.started) == 1
    assert {check.monitor.id for check, cause in stage.skipped if cause is OVERLOAD} == (
        {each.id for each in monitors} - {first}
    )


@in_virtual_time
async def test_after_an_overload_every_check_runs_again() -> None:
    async with playing(Stage(max_running=1)) as stage:
        stage.takes = lambda check: 5.0
        stage.watch(*(every_second(number) for number in range(1, 6)))
        await asyncio.sleep(3)
        stage.takes = lambda check: 0.0
        await asyncio.sleep(7)
        stage.started.clear()
        stage.skipped.clear()
        await asyncio.sleep(10)

    assert len(stage.started) == 50
    assert not stage.skipped


# Permission.


@in_virtual_time
async def test_without_permission_nothing_runs_and_nothing_is_recorded() -> None:
    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        stage.watch(every_second(1), every_second(2))
        await asyncio.sleep(5)
        running_loop().pass_time(30)
        await asyncio.sleep(5)

    assert not stage.started
    assert not stage.skipped
    assert not stage.book.events()


@in_virtual_time
async def test_slots_that_passed_without_permission_are_not_made_up_for() -> None:
    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        stage.watch(every_second())
        await asyncio.sleep(30)
        stage.permits = origin
        await asyncio.sleep(5)

    assert stage.runs()[0] >= NOON + timedelta(seconds=30)
    assert len(stage.runs()) == 5
    assert not stage.skipped


@in_virtual_time
async def test_slots_without_permission_in_the_middle_of_a_term_are_recorded_as_such() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(10)
        stage.permits = lambda: None
        await asyncio.sleep(10)
        stage.permits = origin
        await asyncio.sleep(10)

    assert stage.told() == slots_of(subject, NOON, NOON + timedelta(seconds=30))
    assert stage.causes() == {ErrorType.SKIPPED_LEASE: 10}


@in_virtual_time
async def test_slots_between_two_terms_are_another_agent_s_and_not_recorded() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second())
        await asyncio.sleep(10)
        stage.permits = lambda: None
        await asyncio.sleep(10)
        later = origin(term=3)
        stage.permits = lambda: later
        await asyncio.sleep(10)

    assert len(stage.runs()) == 20
    assert not stage.skipped


@in_virtual_time
async def test_permission_is_asked_again_right_before_the_start() -> None:
    async with playing(Stage(max_running=1)) as stage:
        stage.takes = lambda check: 0.15
        stage.watch(*(every_second(number) for number in range(1, 40)))
        while not stage.started:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.12)
        waiting = [task for task in asyncio.all_tasks() if task.get_name().startswith("check:")]
        stage.permits = lambda: None
        await asyncio.sleep(3)

    assert len(waiting) > 2
    assert len(stage.started) == 1
    assert not stage.skipped


@in_virtual_time
async def test_a_lost_permission_does_not_abandon_the_check_in_flight() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 0.5
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.01)
        stage.permits = lambda: None
        await asyncio.sleep(2)

    assert len(stage.ended) == 1


@in_virtual_time
async def test_a_check_that_lost_permission_while_it_waited_for_its_host_is_recorded() -> None:
    subject = every_second()
    slots = slots_of(subject, NOON, NOON + timedelta(seconds=10))

    async with playing(Stage()) as stage:
        stage.refuses = lambda check: check.scheduled_at == slots[5]
        stage.watch(subject)
        await asyncio.sleep(10)

    assert stage.told() == slots
    assert [(check.scheduled_at, cause) for check, cause in stage.skipped] == [(slots[5], LEASE)]


# A process that is stopped dead and goes on: between any two steps time may have passed.


def stopped_before_its_start(stage: Stage, slot: datetime, *, afterwards: Origin) -> None:
    """Permission as a process sees it that was stopped when the slot was due and not yet started.

    It wakes after its deadline, so the slot finds none; then the database answers.
    """

    def permit() -> Origin | None:
        task = asyncio.current_task()
        due = task is not None and task.get_name().startswith("check:")
        if due and not stops and stage.clock.now() >= slot:
            stops.append(stage.clock.now())
            running_loop().pass_time(2.7)
            return None
        return afterwards if stops else origin()

    stops: list[datetime] = []
    stage.permits = permit


@in_virtual_time
async def test_a_slot_due_when_the_process_was_stopped_is_recorded_if_its_term_goes_on() -> None:
    subject = every_second()
    slots = slots_of(subject, NOON, NOON + timedelta(seconds=20))

    async with playing(Stage()) as stage:
        stopped_before_its_start(stage, slots[5], afterwards=origin())
        stage.watch(subject)
        await asyncio.sleep(20)

    assert stage.told() == slots
    assert [check.scheduled_at for check, cause in stage.skipped if cause is LEASE] == [slots[5]]
    assert stage.causes() == {LEASE: 1, STALL: 2}


@in_virtual_time
async def test_a_slot_due_when_the_process_was_stopped_is_another_s_if_its_term_is_over() -> None:
    subject = every_second()
    slots = slots_of(subject, NOON, NOON + timedelta(seconds=20))

    async with playing(Stage()) as stage:
        stopped_before_its_start(stage, slots[5], afterwards=origin(term=3))
        stage.watch(subject)
        await asyncio.sleep(20)

    assert stage.runs() == slots[:5] + slots[8:]
    assert not stage.skipped


@in_virtual_time
async def test_a_slot_that_waits_for_its_turn_when_permission_ends_is_recorded_too() -> None:
    subject = monitor(interval_s=10)
    slots = slots_of(subject, NOON, NOON + timedelta(seconds=60))

    async with playing(Stage()) as stage:
        stage.takes = lambda check: 12.0 if check.scheduled_at == slots[1] else 0.0
        stage.watch(subject)
        await asyncio.sleep((slots[2] - NOON).total_seconds() + 0.5)
        stage.permits = lambda: None
        await asyncio.sleep(3)
        stage.permits = origin
        await asyncio.sleep(20)

    assert stage.told() == slots[: len(stage.told())]
    assert stage.causes() == {LEASE: 1}


@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.2])
@in_virtual_time
async def test_a_stop_in_the_moment_of_a_slot_does_not_lose_it(late_s: float) -> None:
    subject = every_second()
    *_, slot = slots_of(subject, NOON, NOON + timedelta(seconds=5))
    stage = Stage()
    stage.watch(subject)
    loop = asyncio.create_task(stage.scheduler.run())
    await asyncio.sleep((slot - NOON).total_seconds() - 0.5)

    running_loop().pass_time(0.5 + late_s)
    loop.cancel()
    await asyncio.wait({loop})
    await stage.scheduler.stop(0.5)

    assert stage.runs()[-1] == slot
    assert len(stage.ended) == len(stage.started) == 5


# The first act of a new leader.


def assert_all_from_the_last_before(stage: Stage, subject: Monitor, caught_up: datetime) -> None:
    """The slots until now are told once each, from the last one before that moment on."""
    expected = slots_of(subject, caught_up - timedelta(seconds=subject.interval_s), NOON_2)
    begin = max(slot for slot in expected if slot <= caught_up)
    wanted = [slot for slot in expected if begin <= slot < stage.clock.now()]
    assert [slot for slot in stage.told() if slot >= begin] == wanted
    assert_no_slot_twice(stage)


@pytest.mark.parametrize("stall_ms", [0, 240, 260, 900])
@pytest.mark.parametrize("catch_up_ms", [0, 1, 40, 300])
@pytest.mark.parametrize("granted_ms", [-400, -260, -100, -1, 0, 1, 100, 260])
@in_virtual_time
async def test_around_a_takeover_no_slot_is_left_to_nobody(
    granted_ms: int, catch_up_ms: int, stall_ms: int
) -> None:
    """Permission comes so long after a slot, then the process stalls, then comes the catching up.

    A slot after the catching up is due in the ordinary way, and so is one between the two.
    """
    subject = every_second()
    slot = slots_of(subject, NOON + timedelta(seconds=5), NOON_2)[0]

    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        stage.watch(subject)
        granted = slot + timedelta(milliseconds=granted_ms)
        await asyncio.sleep((granted - stage.clock.now()).total_seconds())
        stage.permits = origin
        running_loop().pass_time(stall_ms / 1000)
        await asyncio.sleep(catch_up_ms / 1000)
        caught_up = stage.clock.now()
        assert stage.scheduler.catch_up({subject.id: NOON - timedelta(hours=1)})
        await asyncio.sleep(3.5)

        assert_all_from_the_last_before(stage, subject, caught_up)


@pytest.mark.parametrize("begins", ["catching up", "a check of another monitor"])
@in_virtual_time
async def test_the_first_slot_of_a_term_is_recorded_if_a_pause_costs_it(begins: str) -> None:
    subject = monitor(interval_s=600)
    (slot,) = slots_of(subject, NOON, NOON + timedelta(minutes=10))

    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        others = [every_second(8)] if begins == "a check of another monitor" else []
        stage.watch(subject, *others)
        await asyncio.sleep(5)
        stage.permits = origin
        if begins == "catching up":
            stage.scheduler.catch_up({})
        await asyncio.sleep((slot - stage.clock.now()).total_seconds() - 1.5)
        running_loop().pass_time(10)
        await asyncio.sleep(1)

    recorded = [(c.scheduled_at, why) for c, why in stage.skipped if c.monitor.id == subject.id]
    assert recorded == [(slot, STALL)]


@in_virtual_time
async def test_the_first_slot_of_a_term_is_recorded_if_permission_is_suspended_meanwhile() -> None:
    subject = monitor(interval_s=60)
    first, second, *_ = slots_of(subject, NOON, NOON + timedelta(minutes=5))

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep((first - NOON).total_seconds() - 1)
        stage.permits = lambda: None
        await asyncio.sleep(2)
        stage.permits = origin
        await asyncio.sleep(60)

    assert [(check.scheduled_at, why) for check, why in stage.skipped] == [(first, LEASE)]
    assert stage.runs() == [second]


@in_virtual_time
async def test_a_new_leader_runs_the_last_slot_that_nobody_ran_at_once() -> None:
    subject = monitor(interval_s=600)
    *_, last = slots_of(subject, NOON - timedelta(hours=1), NOON)

    async with playing(Stage()) as stage:
        stage.watch(subject)
        stage.scheduler.catch_up({subject.id: last - timedelta(minutes=10)})
        await asyncio.sleep(0.1)

    assert stage.runs() == [last]


@in_virtual_time
async def test_a_new_leader_does_not_repeat_the_last_slot_of_the_old_one() -> None:
    subject = monitor(interval_s=600)
    *_, last = slots_of(subject, NOON - timedelta(hours=1), NOON)

    async with playing(Stage()) as stage:
        stage.watch(subject)
        stage.scheduler.catch_up({subject.id: last})
        await asyncio.sleep(0.1)

    assert not stage.started


@in_virtual_time
async def test_catching_up_needs_permission_like_every_check() -> None:
    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        stage.watch(monitor())
        done = stage.scheduler.catch_up({monitor().id: NOON - timedelta(hours=1)})
        await asyncio.sleep(0.1)

    assert not done
    assert not stage.started


@in_virtual_time
async def test_catching_up_leaves_monitors_alone_that_are_gone() -> None:
    async with playing(Stage()) as stage:
        stage.watch()
        stage.scheduler.catch_up({monitor().id: NOON - timedelta(hours=1)})
        await asyncio.sleep(0.1)

    assert not stage.started


@pytest.mark.parametrize("late_ms", range(0, 300, 50))
@in_virtual_time
async def test_catching_up_in_the_moment_of_a_slot_does_not_run_it_twice(late_ms: int) -> None:
    subject = monitor(interval_s=60)
    slot, *_ = slots_of(subject, NOON, NOON + timedelta(minutes=5))

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(0.1)
        running_loop().pass_time((slot - stage.clock.now()).total_seconds() + late_ms / 1000)
        stage.scheduler.catch_up({subject.id: NOON - timedelta(hours=1)})
        await asyncio.sleep(30)

    assert stage.runs() == [slot]
    assert_no_slot_twice(stage)


# Other monitors.


@in_virtual_time
async def test_unchanged_monitors_keep_their_place_however_often_the_set_is_replaced() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        for round_ in range(200):
            stage.watch(subject, monitor(8, name=f"round {round_}"))
            await asyncio.sleep(0.099)

    assert stage.runs() == slots_of(subject, NOON, NOON + timedelta(seconds=19.8))


@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.1, 0.2])
@in_virtual_time
async def test_a_monitor_changed_in_the_moment_of_its_slot_does_not_lose_it(late_s: float) -> None:
    subject = every_second()
    slots = slots_of(subject, NOON, NOON + timedelta(seconds=10))

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep((slots[4] - NOON).total_seconds() - 0.5)
        running_loop().pass_time(0.5 + late_s)
        stage.watch(every_second(name="renamed"))
        await asyncio.sleep(10)

    assert stage.told()[:10] == slots


@in_virtual_time
async def test_a_monitor_changed_after_a_pause_has_its_missed_slots_recorded() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(5)
        running_loop().pass_time(10)
        stage.watch(every_second(name="renamed"))
        await asyncio.sleep(5)

    assert stage.told() == slots_of(subject, NOON, NOON + timedelta(seconds=20))


@in_virtual_time
async def test_a_set_replaced_between_a_slot_and_its_late_start_does_not_lose_the_slot() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.9)
        running_loop().pass_time(0.2)
        stage.watch(every_second())
        await asyncio.sleep(0.1)

    assert len(stage.started) == 2


@in_virtual_time
async def test_a_changed_monitor_is_checked_as_it_is_now() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second(name="before"))
        await asyncio.sleep(5)
        stage.watch(every_second(name="after"))
        await asyncio.sleep(5)

    assert [check.monitor.name for check in stage.started] == ["before"] * 5 + ["after"] * 5


@in_virtual_time
async def test_a_monitor_changed_right_after_its_slot_does_not_run_it_again() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second(name="before"))
        while not stage.started:
            await asyncio.sleep(0.0005)
        stage.clock.server_says(stage.started[0].scheduled_at)
        stage.clock.server_says(stage.started[0].scheduled_at - timedelta(milliseconds=40))
        stage.watch(every_second(name="after"))
        await asyncio.sleep(0.9)

    assert_no_slot_twice(stage)


@in_virtual_time
async def test_a_new_monitor_is_checked_at_its_next_slot() -> None:
    new = every_second(2)

    async with playing(Stage()) as stage:
        stage.watch(every_second(1))
        await asyncio.sleep(5)
        stage.watch(every_second(1), new)
        await asyncio.sleep(5)

    begin, end = NOON + timedelta(seconds=5), NOON + timedelta(seconds=10)
    assert stage.runs(2) == slots_of(new, begin, end)


@in_virtual_time
async def test_a_new_monitor_does_not_wait_for_a_far_slot_of_another() -> None:
    async with playing(Stage()) as stage:
        stage.watch(monitor(1, interval_s=86_400))
        await asyncio.sleep(0.5)
        stage.watch(monitor(1, interval_s=86_400), every_second(2))
        await asyncio.sleep(2)

    assert len(stage.runs(2)) == 2
    assert max(stage.lateness_s) < 0.01


@in_virtual_time
async def test_a_removed_monitor_is_not_checked_again() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second(1), every_second(2))
        await asyncio.sleep(5)
        stage.watch(every_second(1))
        await asyncio.sleep(5)

    assert (len(stage.runs(1)), len(stage.runs(2))) == (10, 5)


@in_virtual_time
async def test_a_replaced_set_lets_running_checks_finish() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 0.5
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.01)
        stage.watch()
        await asyncio.sleep(2)

    assert stage.ended == stage.started
    assert not stage.cancelled


@pytest.mark.parametrize("between", [(), (monitor(8),)], ids=["none", "another"])
@in_virtual_time
async def test_a_monitor_that_comes_back_does_not_overlap_its_check_in_flight(
    between: tuple[Monitor, ...],
) -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 2.5
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.01)
        stage.watch(*between)
        await asyncio.sleep(0.3)
        stage.watch(every_second())
        await asyncio.sleep(6)

    assert len(stage.runs()) >= 2
    assert not stage.overlapped


@in_virtual_time
async def test_a_changed_monitor_does_not_overlap_its_check_in_flight() -> None:
    async with playing(Stage()) as stage:
        stage.takes = lambda check: 2.5
        for round_ in range(50):
            stage.watch(every_second(name=f"round {round_}"))
            await asyncio.sleep(0.21)

    assert len(stage.runs()) >= 2
    assert not stage.overlapped


# The end.


@in_virtual_time
async def test_stop_waits_for_checks_that_end_within_the_grace() -> None:
    stage = Stage()
    async with playing(stage):
        stage.takes = lambda check: 0.4
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.01)

        await stage.scheduler.stop(grace_s=0.5)

    assert len(stage.ended) == 1
    assert not stage.cancelled


@in_virtual_time
async def test_stop_cancels_checks_that_outlast_the_grace() -> None:
    stage = Stage()
    async with playing(stage):
        stage.takes = lambda check: 30.0
        stage.watch(every_second(1), every_second(2))
        await asyncio.sleep(1)
        begin = running_loop().time()

        await stage.scheduler.stop(grace_s=0.5)

    assert running_loop().time() - begin == pytest.approx(0.5, abs=0.01)
    assert len(stage.cancelled) == 2


@in_virtual_time
async def test_stop_without_checks_in_flight_takes_no_time() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second())
        await asyncio.sleep(5)
        begin = running_loop().time()

        await stage.scheduler.stop(grace_s=60)

        assert running_loop().time() == begin


# Pauses of the process and steps of the clock.


@in_virtual_time
async def test_a_short_pause_runs_the_check_late() -> None:
    async with playing(Stage()) as stage:
        stage.watch(every_second())
        while not stage.started:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.9)
        running_loop().pass_time(0.3)
        await asyncio.sleep(0.1)

    assert len(stage.started) == 2
    assert stage.lateness_s[1] == pytest.approx(0.2, abs=0.01)


@in_virtual_time
async def test_a_pause_of_the_process_records_the_slots_it_cost() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(10)
        running_loop().pass_time(30)
        await asyncio.sleep(10)

    assert stage.told() == slots_of(subject, NOON, NOON + timedelta(seconds=50))
    assert set(stage.causes()) == {STALL}
    assert 29 <= stage.causes()[STALL] <= 30


@in_virtual_time
async def test_an_hour_of_pause_is_no_flood_and_says_what_it_left_out() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.watch(subject)
        await asyncio.sleep(10)
        running_loop().pass_time(3600)
        await asyncio.sleep(10)

    unrecorded = sum(line["count"] for line in stage.book.lines("slots_unrecorded"))
    assert stage.causes()[STALL] == MAX_RECORDED_SKIPS
    assert len(stage.told()) + unrecorded == 3620


@pytest.mark.parametrize("step", [timedelta(seconds=2), timedelta(hours=3)])
@in_virtual_time
async def test_a_clock_set_forward_starts_every_check_within_an_interval(step: timedelta) -> None:
    monitors = [monitor(number, interval_s=10) for number in range(1, 101)]

    async with playing(Stage()) as stage:
        stage.clock.server_says(NOON)
        stage.watch(*monitors)
        await asyncio.sleep(20)
        stage.started.clear()
        stage.clock.server_says(stage.clock.now() + step)
        await asyncio.sleep(11.5)

    assert_no_slot_twice(stage)
    assert {check.monitor.id for check in stage.started} == {each.id for each in monitors}
    assert len(stage.skipped) <= 100 * MAX_RECORDED_SKIPS


@in_virtual_time
async def test_a_clock_set_forward_is_noticed_while_the_next_slot_is_far() -> None:
    subject = monitor(interval_s=86_400)
    (slot,) = slots_of(subject, NOON, NOON + timedelta(days=1))

    async with playing(Stage()) as stage:
        stage.clock.server_says(NOON)
        stage.watch(subject)
        await asyncio.sleep(5)
        stage.clock.server_says(slot - timedelta(seconds=3))
        await asyncio.sleep(4)

    assert stage.runs() == [slot]
    assert stage.lateness_s[0] < 0.01


@in_virtual_time
async def test_a_clock_set_back_repeats_no_slot_and_goes_on_where_it_was() -> None:
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.clock.server_says(NOON)
        stage.watch(subject)
        await asyncio.sleep(20)
        stage.clock.server_says(stage.clock.now() - timedelta(seconds=5))
        await asyncio.sleep(25)

    assert stage.runs() == slots_of(subject, NOON, NOON + timedelta(seconds=40))
    assert not stage.skipped


@pytest.mark.parametrize("wrong", [timedelta(seconds=30), timedelta(hours=5), timedelta(days=-400)])
@in_virtual_time
async def test_a_host_whose_clock_is_wrong_checks_within_an_interval_of_the_first_answer(
    wrong: timedelta,
) -> None:
    monitors = [monitor(number, interval_s=10) for number in range(1, 51)]

    async with playing(Stage()) as stage:
        stage.permits = lambda: None
        stage.clock = stage.scheduler._clock = VirtualClock(NOON + wrong)
        stage.watch(*monitors)
        await asyncio.sleep(3)
        stage.clock.server_says(NOON)
        stage.permits = origin
        await asyncio.sleep(11.5)

    assert {check.monitor.id for check in stage.started} == {each.id for each in monitors}
    assert_no_slot_twice(stage)


@in_virtual_time
async def test_a_clock_set_back_while_another_agent_led_costs_no_slot() -> None:
    async with playing(Stage()) as stage:
        stage.clock.server_says(NOON + timedelta(hours=1))
        stage.permits = lambda: None
        stage.watch(every_second())
        await asyncio.sleep(20)
        stage.clock.server_says(NOON)
        stage.permits = origin
        await asyncio.sleep(5)

    assert len(stage.started) >= 4


@in_virtual_time
async def test_answers_that_tremble_lose_and_repeat_no_slot() -> None:
    dice = random.Random(7)
    subject = every_second()

    async with playing(Stage()) as stage:
        stage.clock.server_says(NOON)
        stage.watch(subject)
        for second in range(300):
            truth = NOON + timedelta(seconds=second)
            trembling = truth + timedelta(seconds=dice.uniform(-0.3, 0.3))
            stage.clock.server_says(trembling, round_trip_s=0.6)
            await asyncio.sleep(1)

    assert not stage.skipped
    runs = stage.runs()
    assert runs == slots_of(subject, NOON, runs[-1] + timedelta(milliseconds=1))
    assert len(runs) >= 299


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("steps_s", "names"),
    [((-4000, -3, -0.3, 0.3, 3, 4000), ("a", "b")), ((-0.3, 0.3, 3, 4000), ("", "a", "b"))],
    ids=["the clock is set back", "monitors are removed"],
)
def test_whatever_happens_no_slot_comes_twice_and_no_check_overlaps(
    steps_s: tuple[float, ...], names: tuple[str, ...], seed: int
) -> None:
    dice = random.Random(seed)

    @in_virtual_time
    async def story() -> None:
        async with playing(Stage(max_running=3)) as stage:
            stage.takes = lambda check: dice.choice([0.0, 0.0, 0.3, 1.7, 12.0])
            for _ in range(60):
                match dice.randrange(6):
                    case 0:
                        running_loop().pass_time(dice.choice([0.2, 3, 100]))
                    case 1:
                        step = timedelta(seconds=dice.choice(steps_s))
                        stage.clock.server_says(stage.clock.now() + step)
                    case 2:
                        granted = dice.choice([None, origin(term=1), origin(term=2)])
                        stage.permits = partial(lambda it: it, granted)
                    case _:
                        wanted = [(number, dice.choice(names)) for number in range(6)]
                        stage.watch(*(every_second(n, name=name) for n, name in wanted if name))
                await asyncio.sleep(dice.uniform(0, 3))

            assert stage.started
            assert stage.most_running <= 3
            assert not stage.overlapped
            assert_no_slot_twice(stage)

    story()
