"""Does everybody's clock follow the database's, however slow the network between them is?"""

import random
from datetime import UTC, datetime, timedelta

import pytest

from uptimeo.clock import EPOCH, ServerClock, boottime

JANUARY = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def seconds_off(clock: ServerClock, expected: datetime, since: float) -> float:
    """How far the clock is from the expected time, which was right at `since`."""
    return (clock.now() - expected).total_seconds() - (boottime() - since)


def answer(clock: ServerClock, offset_s: float, sent: float, there_s: float, back_s: float) -> None:
    """An answer of a database whose clock is ahead of this host's seconds since boot by that."""
    read_at = sent + there_s
    clock.anchor(EPOCH + timedelta(seconds=read_at + offset_s), sent, read_at + back_s)


def offset(clock: ServerClock) -> float:
    return seconds_off(clock, EPOCH, 0.0)


def test_before_the_first_answer_it_is_the_time_of_this_host() -> None:
    assert abs(ServerClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize("hours", [-5, -0.00001, 0.00001, 5])
def test_the_first_answer_is_taken_as_it_is(hours: float) -> None:
    clock, begin = ServerClock(), boottime()
    truth = clock.now() + timedelta(hours=hours)

    clock.anchor(truth, begin, begin)

    assert seconds_off(clock, truth, begin) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("step_s", [-7200, -1, -0.1, 0.1, 1, 7200])
def test_a_step_of_the_database_is_followed_at_once(step_s: float) -> None:
    clock, begin = ServerClock(), boottime()
    answer(clock, 1e9, begin, 0.01, 0.01)

    answer(clock, 1e9 + step_s, begin + 1, 0.01, 0.01)

    assert offset(clock) - 1e9 == pytest.approx(step_s, abs=0.01)


def test_a_slow_answer_does_not_move_a_clock_that_a_quick_one_has_set() -> None:
    clock, begin = ServerClock(), boottime()
    answer(clock, 1e9, begin, 0.001, 0.001)

    answer(clock, 1e9, begin + 1, 0.9, 0.0)
    answer(clock, 1e9, begin + 2, 0.0, 0.9)

    assert offset(clock) - 1e9 == pytest.approx(0, abs=0.003)


def test_a_quick_answer_corrects_at_once_what_a_slow_one_left() -> None:
    clock, begin = ServerClock(), boottime()
    answer(clock, 1e9, begin, 0.8, 0.0)
    assert abs(offset(clock) - 1e9) == pytest.approx(0.4, abs=1e-3)

    answer(clock, 1e9, begin + 1, 0.001, 0.001)

    assert offset(clock) - 1e9 == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("seed", range(10))
def test_the_error_is_below_half_of_the_shortest_round_trip_however_lopsided(seed: int) -> None:
    dice = random.Random(seed)
    clock, begin = ServerClock(), boottime()
    shortest = 10.0

    for second in range(100):
        there, back = dice.uniform(0.03, 0.5), dice.choice([0.001, 0.2])
        shortest = min(shortest, there + back)
        answer(clock, 1e9, begin + second, there, back)

        drifted = 5e-4 * second
        assert abs(offset(clock) - 1e9) <= shortest / 2 + drifted + 1e-3


@pytest.mark.parametrize("rate", [-4e-4, 4e-4])
def test_a_clock_that_drifts_is_followed_for_hours(rate: float) -> None:
    clock, begin = ServerClock(), boottime()

    for second in range(7200):
        answer(clock, 1e9 + rate * second, begin + second, 0.005, 0.005)

    assert offset(clock) - 1e9 == pytest.approx(rate * 7199, abs=0.01)


def test_an_answer_about_an_earlier_moment_counts_from_that_moment() -> None:
    clock, begin = ServerClock(), boottime()

    clock.anchor(JANUARY, begin - 3, begin - 3)

    assert seconds_off(clock, JANUARY, begin) == pytest.approx(3, abs=1e-4)


def test_the_time_it_tells_is_utc() -> None:
    assert ServerClock().now().utcoffset() == timedelta(0)
