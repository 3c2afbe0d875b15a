"""Does every slot of the grid come up exactly once, whenever the agent wakes up?"""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import VA
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.schedule.plan import MAX_RECORDED_SKIPS, Due, Grid, due, grid

NOW_MS = 1_767_355_200_000
INTERVALS_MS = st.integers(min_value=1, max_value=86_400).map(lambda seconds: seconds * 1000)
GRIDS = INTERVALS_MS.flatmap(
    lambda interval: st.builds(
        Grid, interval_ms=st.just(interval), phase_ms=st.integers(0, interval - 1)
    )
)
MOMENTS = st.integers(min_value=0, max_value=2 * NOW_MS)
# The clock of the database may also be set back; a long pause is thousands of intervals.
QUARTERS = st.integers(min_value=0, max_value=5) | st.integers(min_value=-40, max_value=4000)
JITTER_MS = st.integers(min_value=0, max_value=1500)


def covered(slots: Grid, awaited_ms: int, decision: Due) -> list[int]:
    """The slots that a decision speaks about, as it orders them: unrecorded, missed, run."""
    first_recorded = awaited_ms + decision.unrecorded * slots.interval_ms
    unrecorded = range(awaited_ms, first_recorded, slots.interval_ms)
    run = [] if decision.run is None else [decision.run]
    return [*unrecorded, *decision.missed, *run]


@given(GRIDS, MOMENTS)
def test_the_slot_at_or_after_a_moment_is_the_first_on_the_grid(slots: Grid, moment: int) -> None:
    slot = slots.at_or_after(moment)

    assert (slot - slots.phase_ms) % slots.interval_ms == 0
    assert moment <= slot < moment + slots.interval_ms


@given(GRIDS, MOMENTS)
def test_a_slot_is_at_or_after_itself(slots: Grid, moment: int) -> None:
    slot = slots.at_or_after(moment)

    assert slots.at_or_after(slot) == slot


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 86_400))
def test_two_agents_compute_the_same_grid(monitor: int, datacenter: int, interval_s: int) -> None:
    mine, theirs = (
        grid(MonitorId(monitor), DatacenterId(datacenter), interval_s) for _ in range(2)
    )

    assert mine == theirs
    assert 0 <= mine.phase_ms < mine.interval_ms == interval_s * 1000


def test_a_grid_is_the_same_in_every_version() -> None:
    assert grid(MonitorId(7), DatacenterId(1), 60) == Grid(interval_ms=60_000, phase_ms=10_859)


def test_datacenters_check_a_monitor_at_different_moments() -> None:
    phases = {grid(MonitorId(7), DatacenterId(number), 60).phase_ms for number in range(1, 10)}

    assert len(phases) == 9


def test_a_thousand_monitors_spread_over_their_minute() -> None:
    seconds = Counter(grid(MonitorId(number), VA, 60).phase_ms // 1000 for number in range(1, 1001))

    assert max(seconds.values()) <= 3 * 1000 / 60
    assert len(seconds) == 60


@given(GRIDS)
def test_a_late_check_never_comes_near_the_next_slot(slots: Grid) -> None:
    assert 0 <= slots.tolerance_ms() <= min(1000, slots.interval_ms / 4)


@given(GRIDS, MOMENTS, st.lists(st.tuples(QUARTERS, JITTER_MS), max_size=40))
def test_every_slot_is_run_missed_or_counted_exactly_once_and_in_order(
    slots: Grid, begin: int, steps: list[tuple[int, int]]
) -> None:
    first = awaited = slots.at_or_after(begin)
    now, seen = begin, list[int]()

    for quarters, jitter_ms in steps:
        now += quarters * slots.interval_ms // 4 + jitter_ms
        decision = due(slots, awaited, now)
        seen += covered(slots, awaited, decision)
        awaited = decision.next

    assert seen == list(range(first, awaited, slots.interval_ms))


@given(GRIDS, MOMENTS, st.integers(min_value=-(10**9), max_value=10**9))
def test_a_decision_is_about_what_has_come_and_awaits_what_has_not(
    slots: Grid, begin: int, step: int
) -> None:
    awaited = slots.at_or_after(begin)
    now = awaited + step

    decision = due(slots, awaited, now)

    about = covered(slots, awaited, decision) if decision.unrecorded < 10**5 else []
    assert all(slot <= now for slot in about)
    assert decision.next == max(awaited, slots.at_or_after(now + 1))


@given(GRIDS, MOMENTS, st.integers(min_value=0, max_value=10**9))
def test_only_the_latest_slot_runs_and_only_within_the_tolerance(
    slots: Grid, begin: int, late_ms: int
) -> None:
    awaited = slots.at_or_after(begin)
    now = awaited + late_ms

    decision = due(slots, awaited, now)

    latest = decision.next - slots.interval_ms
    assert decision.run == (latest if now - latest <= slots.tolerance_ms() else None)


@given(GRIDS, MOMENTS, st.integers(min_value=0, max_value=10**12))
def test_a_pause_of_any_length_records_few_slots_and_the_newest(
    slots: Grid, begin: int, pause_ms: int
) -> None:
    awaited = slots.at_or_after(begin)

    decision = due(slots, awaited, awaited + pause_ms)

    assert len(decision.missed) <= MAX_RECORDED_SKIPS
    assert not decision.unrecorded or len(decision.missed) == MAX_RECORDED_SKIPS
    if decision.missed:
        after = decision.next if decision.run is None else decision.run
        assert decision.missed[-1] == after - slots.interval_ms


@settings(max_examples=10)
@given(st.sampled_from([1, 7, 10, 60]), st.lists(st.integers(0, 250), min_size=1, max_size=50))
def test_a_day_of_wake_ups_that_are_a_little_late_drifts_by_nothing(
    interval_s: int, lateness: list[int]
) -> None:
    slots = grid(MonitorId(7), VA, interval_s)
    first = awaited = slots.at_or_after(NOW_MS)
    runs = list[int]()

    while awaited < NOW_MS + 86_400_000:
        decision = due(slots, awaited, awaited + lateness[len(runs) % len(lateness)])
        assert decision.run is not None
        runs.append(decision.run)
        awaited = decision.next

    assert runs == list(range(first, awaited, interval_s * 1000))
