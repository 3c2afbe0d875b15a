"""When is a job late, and when may its signal have been lost? All at times given by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from uptimeo.domain.result import ErrorType
from uptimeo.domain.signal import Signal, SignalKind, SignalState, Stretch
from uptimeo.probes.push.options import PushOptions
from uptimeo.probes.push.verdict import Gap, PushVerdict, gaps, judge_push

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HASH = "0" * 64
HOURLY = {"period_s": 3600, "grace_s": 300}
NIGHTLY = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "grace_s": 600}


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def options(**given: Any) -> PushOptions:
    return PushOptions.model_validate({"url": "push://backup", "token_sha256": HASH} | given)


def ended(moment: datetime, exit_status: int = 0, **given: Any) -> Signal:
    return Signal(kind=SignalKind.EXIT, at=moment, exit_status=exit_status, **given)


def started(moment: datetime) -> Signal:
    return Signal(kind=SignalKind.START, at=moment)


def state(now: datetime, **given: Any) -> SignalState:
    """Last heard at T0, with a receiver that was there all the time."""
    fields: dict[str, Any] = {
        "now": now,
        "since": T0 - timedelta(days=30),
        "last_end": ended(T0),
        "last_start": None,
        "stretches": (Stretch(T0 - timedelta(days=40), now),),
    }
    return SignalState(**fields | given)


def kind(verdict: PushVerdict) -> ErrorType | None:
    return verdict.failure.type if verdict.failure else None


def verdict(now: datetime, given: dict[str, Any] = HOURLY, **known: Any) -> ErrorType | None:
    return kind(judge_push(options(**given), state(now, **known)))


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(0, None), (59, None), (65, None), (65.1, ErrorType.PUSH_MISSING), (9999, "push_missing")],
)
def test_silence_is_a_failure_after_period_and_grace(minutes: float, expected: object) -> None:
    assert verdict(at(minutes)) == expected


def test_the_message_says_when_it_was_heard_and_when_it_was_due() -> None:
    failure = judge_push(options(**HOURLY), state(at(132))).failure

    assert failure is not None
    assert failure.message == (
        "the last signal came at 2026-03-02 12:00:00+00:00: the next was due at"
        " 2026-03-02 13:00:00+00:00, at the latest at 2026-03-02 13:05:00+00:00,"
        " which is 1 h 7 min ago"
    )


def test_the_first_signal_is_awaited_from_the_making_of_the_monitor_on() -> None:
    assert verdict(at(60), last_end=None, since=T0) is None
    assert verdict(at(66), last_end=None, since=T0) is ErrorType.PUSH_MISSING


def test_a_failure_stays_until_the_next_good_end() -> None:
    failed = Signal(kind=SignalKind.FAIL, at=T0)

    assert verdict(at(1), last_end=failed) is ErrorType.PUSH_FAILED
    assert verdict(at(1), last_end=ended(T0, 3)) is ErrorType.EXIT_STATUS
    assert verdict(at(1), last_end=ended(T0, 3), last_start=started(at(0.5))) is (
        ErrorType.EXIT_STATUS
    )
    assert verdict(at(1), last_end=ended(T0, 0)) is None


def test_a_start_alone_does_not_put_off_the_next_end() -> None:
    assert verdict(at(66), last_start=started(at(58))) is ErrorType.PUSH_MISSING


def test_a_run_may_take_as_long_as_it_is_allowed_to_and_no_longer() -> None:
    long = HOURLY | {"max_run_s": 3000}

    assert verdict(at(100), long, last_start=started(at(58))) is None
    assert verdict(at(109), long, last_start=started(at(58))) is ErrorType.PUSH_MISSING
    assert verdict(at(66), long, last_start=started(at(-10))) is ErrorType.PUSH_MISSING


def test_cron_is_meant_in_its_zone_on_both_sides_of_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    nightly = options(**NIGHTLY)
    days = [datetime(2026, 3, day, 3, 0, tzinfo=berlin) for day in (28, 29, 30)]

    assert [nightly.due_after(day - timedelta(hours=4)) for day in days] == days
    utc_hours = [day.astimezone(UTC).hour for day in days]
    assert utc_hours == [2, 1, 1]


def test_a_signal_seconds_before_its_time_counts_for_it() -> None:
    three = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)  # 03:00 in Berlin
    early = ended(three - timedelta(seconds=2))
    too_early = ended(three - timedelta(minutes=10))
    later = three + timedelta(minutes=11)

    assert verdict(later, NIGHTLY, last_end=early) is None
    assert verdict(later, NIGHTLY, last_end=too_early) is ErrorType.PUSH_MISSING


def stretches(*pairs: tuple[float, float]) -> dict[str, Any]:
    return {"stretches": tuple(Stretch(at(a), at(b)) for a, b in pairs)}


def test_a_signal_that_may_have_been_lost_is_awaited_anew_and_then_missed() -> None:
    hole = stretches((-60, 61), (63, 200))
    result = judge_push(options(**HOURLY), state(at(66), **hole))

    assert kind(result) is ErrorType.UNHEARD
    assert result.failure is not None
    assert "13:01:00+00:00 until 2026-03-02 13:03:00" in result.failure.message
    assert verdict(at(127), **hole) is ErrorType.UNHEARD
    assert verdict(at(128.1), **hole) is ErrorType.PUSH_MISSING


def test_an_outage_that_began_after_the_failure_forgives_nothing() -> None:
    assert verdict(at(90), **stretches((-60, 80), (85, 90))) is ErrorType.PUSH_MISSING


def test_an_outage_hours_before_a_cron_time_hides_nothing() -> None:
    three = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
    minutes = (three - T0).total_seconds() / 60
    evening = stretches((-60, 300), (360, minutes + 60))
    night = stretches((-60, minutes - 1), (minutes + 1, minutes + 60))
    later = three + timedelta(minutes=11)

    assert verdict(later, NIGHTLY, **evening) is ErrorType.PUSH_MISSING
    assert verdict(later, NIGHTLY, **night) is ErrorType.UNHEARD


def test_an_outage_that_lasts_is_no_failure_of_the_job() -> None:
    assert verdict(at(600), **stretches((-60, 20))) is ErrorType.UNHEARD
    assert verdict(at(600), stretches=()) is ErrorType.UNHEARD


def test_a_receiver_that_has_not_spoken_since_is_waited_for() -> None:
    assert verdict(at(65.1), **stretches((-60, 64.95))) is None
    assert verdict(at(65.15), **stretches((-60, 65.02))) is ErrorType.PUSH_MISSING


def test_two_receivers_cover_for_each_other() -> None:
    known = state(at(100), **stretches((-60, 30), (20, 90), (80, 100)))

    assert gaps(known) == []
    assert gaps(state(at(100), **stretches((-60, 30), (40, 100)))) == [Gap(at(30), at(40))]


@given(
    cuts=st.lists(st.floats(0, 300), min_size=2, max_size=12),
    now=st.floats(0, 600),
)
def test_nothing_is_missed_that_could_not_be_heard(cuts: list[float], now: float) -> None:
    edges = sorted(cuts[: len(cuts) // 2 * 2])
    pairs = [pair for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] <= now]
    known = state(at(now), **stretches(*((a, min(b, now)) for a, b in pairs)))

    if kind(judge_push(options(**HOURLY), known)) is ErrorType.PUSH_MISSING:
        awaited = timedelta(minutes=65)
        assert any(
            stretch.seen - max(stretch.began, T0) >= awaited - timedelta(seconds=15)
            for stretch in _merged(known)
        )


def _merged(known: SignalState) -> list[Stretch]:
    ends = [known.anchor, *(gap.end for gap in gaps(known))]
    begins = [*(gap.begin for gap in gaps(known)), known.now]
    return [Stretch(began, seen) for began, seen in zip(ends, begins, strict=True)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"period_s": 60, "cron": "* * * * *"},
        {"cron": "* * *"},
        {"cron": "0 0 30 2 *"},
        {"cron": "61 * * * *"},
        {"cron": "0 3 * * *", "timezone": "Mars/Olympus"},
        {"cron": "0 3 * * *", "timezone": "../../etc/passwd"},
        {"period_s": 1},
        {"period_s": 60, "token_sha256": "abc"},
        {"period_s": 60, "url": "https://example.org"},
        {"period_s": 60, "url": "push://"},
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**given)
