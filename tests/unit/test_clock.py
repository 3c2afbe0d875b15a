"""Does everybody's clock follow the database's, without trembling with the network?"""

from datetime import UTC, datetime, timedelta

import pytest

from uptimeo.clock import ServerClock, boottime

JANUARY = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def seconds_off(clock: ServerClock, expected: datetime, since: float) -> float:
    """How far the clock is from the expected time, which was right at `since`."""
    return (clock.now() - expected).total_seconds() - (boottime() - since)


def test_before_the_first_answer_it_is_the_time_of_this_host() -> None:
    assert abs(ServerClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize("hours", [-5, -0.00001, 0.00001, 5])
def test_the_first_answer_is_taken_as_it_is(hours: float) -> None:
    clock, begin = ServerClock(), boottime()
    truth = clock.now() + timedelta(hours=hours)

    clock.anchor(truth, begin)

    assert seconds_off(clock, truth, begin) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("step_s", [-7200, -1, 1, 7200])
def test_a_step_of_the_database_is_followed_at_once(step_s: float) -> None:
    clock, begin = ServerClock(), boottime()
    clock.anchor(JANUARY, begin)

    clock.anchor(JANUARY + timedelta(seconds=step_s), begin)

    assert seconds_off(clock, JANUARY, begin) == pytest.approx(step_s, abs=1e-4)


@pytest.mark.parametrize("jitter_s", [-0.4, 0.4])
def test_a_late_answer_moves_the_clock_by_a_tenth_of_its_error(jitter_s: float) -> None:
    clock, begin = ServerClock(), boottime()
    clock.anchor(JANUARY, begin)

    clock.anchor(JANUARY + timedelta(seconds=jitter_s), begin)

    assert seconds_off(clock, JANUARY, begin) == pytest.approx(jitter_s / 10, abs=1e-4)


def test_many_equal_answers_remove_an_error() -> None:
    clock, begin = ServerClock(), boottime()
    clock.anchor(JANUARY + timedelta(seconds=0.4), begin)

    for _ in range(100):
        clock.anchor(JANUARY, begin)

    assert seconds_off(clock, JANUARY, begin) == pytest.approx(0, abs=1e-3)


def test_an_answer_about_an_earlier_moment_counts_from_that_moment() -> None:
    clock, begin = ServerClock(), boottime()

    clock.anchor(JANUARY, begin - 3)

    assert seconds_off(clock, JANUARY, begin) == pytest.approx(3, abs=1e-4)


def test_the_time_it_tells_is_utc() -> None:
    assert ServerClock().now().utcoffset() == timedelta(0)
