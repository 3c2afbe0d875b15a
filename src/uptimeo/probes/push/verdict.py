"""Is a job late, did it fail, or could it not be heard? Pure.

A job that is not heard is down only if it could have been heard: while no receiver ran, or the
receivers' database was away, its signal may have been lost, and it is awaited anew from then on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from uptimeo.domain.result import ErrorType, Failure
from uptimeo.domain.signal import Signal, SignalKind, SignalState
from uptimeo.probes.push.options import PushOptions

# Receivers tell that they are there every five seconds.
STALE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushVerdict:
    """What is to be thought of a job; `late` is when its silence becomes a failure."""

    failure: Failure | None
    due: datetime
    late: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no receiver was there."""

    begin: datetime
    end: datetime


def judge_push(options: PushOptions, state: SignalState) -> PushVerdict:
    """What the signals so far mean at the time `state.now`."""
    due = options.due_after(state.anchor)
    late = due + options.grace
    failure = _failure(options, state, due, late)
    return PushVerdict(failure=failure, due=due, late=late)


def gaps(state: SignalState) -> list[Gap]:
    """When nobody could take a signal, from the last end of a run until now."""
    found, covered = [], state.anchor
    for stretch in state.stretches:
        if stretch.began > covered:
            found.append(Gap(covered, stretch.began))
        covered = max(covered, stretch.seen)
    if state.now - covered > STALE:
        found.append(Gap(covered, state.now))
    return found


def _failure(
    options: PushOptions, state: SignalState, due: datetime, late: datetime
) -> Failure | None:
    if state.last_end is not None and state.last_end.failed:
        return _told(state.last_end, state.now)
    if state.running is not None and options.max_run_s is not None:
        return _unless_unheard(_overrun(options, state, state.running), state, options)
    window = state.anchor if options.cron is None else due
    return _unless_unheard(_Silence(window, late, _missing(state, due, late)), state, options)


@dataclass(frozen=True, slots=True)
class _Silence:
    """A failure from `late` on, if the signal did not get lost after `since`."""

    since: datetime
    late: datetime
    text: str


def _unless_unheard(silence: _Silence, state: SignalState, options: PushOptions) -> Failure | None:
    if state.now <= silence.late:
        return None
    late, lost = silence.late, None
    for gap in gaps(state):
        if gap.begin <= late and gap.end >= silence.since:
            lost, late = gap, options.due_after(gap.end) + options.grace
    if lost is not None and state.now <= late:
        return Failure(type=ErrorType.UNHEARD, message=_unheard(lost, late, state))
    heard_until = max((stretch.seen for stretch in state.stretches), default=state.anchor)
    if heard_until < silence.late:
        return None  # the receivers' next word will tell whether they were there
    return Failure(type=ErrorType.PUSH_MISSING, message=silence.text)


def _overrun(options: PushOptions, state: SignalState, start: Signal) -> _Silence:
    assert options.max_run_s is not None
    late = start.at + timedelta(seconds=options.max_run_s)
    text = (
        f"the run that started at {_shown(start.at)} has not ended within {options.max_run_s} s:"
        f" it began {_span(state.now - start.at)} ago"
    )
    return _Silence(start.at, late, text)


def _told(end: Signal, now: datetime) -> Failure:
    ago = f"{_span(now - end.at)} ago, at {_shown(end.at)}"
    if end.kind is SignalKind.FAIL:
        return Failure(type=ErrorType.PUSH_FAILED, message=f"the job said that it failed {ago}")
    text = f"the job ended with exit status {end.exit_status} {ago}, expected 0"
    return Failure(type=ErrorType.EXIT_STATUS, message=text)


def _missing(state: SignalState, due: datetime, late: datetime) -> str:
    last = state.last_end
    heard = "no signal yet" if last is None else f"the last signal came at {_shown(last.at)}"
    return (
        f"{heard}: the next was due at {_shown(due)}, at the latest at {_shown(late)},"
        f" which is {_span(state.now - late)} ago"
    )


def _unheard(gap: Gap, late: datetime, state: SignalState) -> str:
    until = "until now" if gap.end == state.now else f"until {_shown(gap.end)}"
    return (
        f"a signal may have been lost: no receiver (`uptimeo receive`) could take one from"
        f" {_shown(gap.begin)} {until}; without one it is down from {_shown(late)} on"
    )


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or f"{seconds} s"
