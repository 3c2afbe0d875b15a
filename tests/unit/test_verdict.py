"""Does every result become the status that its thresholds ask for?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import failed, result
from uptimeo.domain.monitor import Thresholds, effective_timeout_ms
from uptimeo.domain.result import OUR_FAULTS, ErrorType, Outcome
from uptimeo.domain.verdict import Status, judge, success

LIMITS = Thresholds(warning_ms=100, critical_ms=500)
THEIR_FAULTS = sorted(set(ErrorType) - OUR_FAULTS)


@pytest.mark.parametrize(
    ("total_ms", "status"),
    [
        (0.0, Status.UP),
        (100.0, Status.UP),
        (100.001, Status.DEGRADED),
        (500.0, Status.DEGRADED),
        (500.001, Status.CRITICAL),
    ],
)
def test_a_threshold_is_passed_above_it_and_not_at_it(total_ms: float, status: Status) -> None:
    assert judge(result(total_ms=total_ms), LIMITS) is status


def test_without_thresholds_no_success_is_slow() -> None:
    assert judge(result(total_ms=1e9), Thresholds()) is Status.UP


def test_critical_needs_no_warning() -> None:
    assert judge(result(total_ms=600.0), Thresholds(critical_ms=500)) is Status.CRITICAL


def test_warning_needs_no_critical() -> None:
    assert judge(result(total_ms=600.0), Thresholds(warning_ms=500)) is Status.DEGRADED


@pytest.mark.parametrize("error", THEIR_FAULTS)
def test_a_fault_of_the_target_is_down_however_fast(error: ErrorType) -> None:
    assert judge(failed(error, total_ms=1.0), LIMITS) is Status.DOWN


@pytest.mark.parametrize("error", sorted(OUR_FAULTS))
def test_a_fault_of_our_own_is_unknown_and_never_down(error: ErrorType) -> None:
    assert judge(failed(error, total_ms=9999.0), LIMITS) is Status.UNKNOWN


@given(st.floats(min_value=0, max_value=1e6), st.sampled_from(list(ErrorType)))
def test_the_total_never_turns_a_failure_into_a_success(total_ms: float, error: ErrorType) -> None:
    assert failed(error, total_ms=total_ms).outcome is not Outcome.UP


def test_slow_is_a_success_and_unknown_is_neither() -> None:
    assert {status: success(status) for status in Status} == {
        Status.UP: True,
        Status.DEGRADED: True,
        Status.CRITICAL: True,
        Status.DOWN: False,
        Status.UNKNOWN: None,
    }


@pytest.mark.parametrize(
    ("wanted_ms", "interval_s", "effective_ms"),
    [(None, 60, 10_000), (None, 5, 5000), (3000, 60, 3000), (90_000, 60, 60_000)],
)
def test_a_timeout_is_what_was_asked_for_and_never_more_than_the_interval(
    wanted_ms: int | None, interval_s: int, effective_ms: int
) -> None:
    assert effective_timeout_ms(wanted_ms, interval_s) == effective_ms


def test_a_target_that_says_it_is_not_well_is_degraded_unless_worse() -> None:
    unwell = result(degraded=True, total_ms=120.0)

    assert judge(unwell, Thresholds()) is Status.DEGRADED
    assert judge(unwell, Thresholds(critical_ms=100)) is Status.CRITICAL
