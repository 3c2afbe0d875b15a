"""How does one due check become one heartbeat, with how many tries?"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from uptimeo.clock import ServerClock
from uptimeo.domain.check import Check
from uptimeo.domain.details import FailedAttempt
from uptimeo.domain.heartbeat import EvidenceReason, Heartbeat, Origin
from uptimeo.domain.monitor import MonitorId
from uptimeo.domain.result import ErrorType, ProbeResult, our_fault
from uptimeo.domain.verdict import Status, judge
from uptimeo.probes.running.attempts import Attempt, Attempts
from uptimeo.probes.running.lag import Lag
from uptimeo.probes.running.places import HostPlaces
from uptimeo.telemetry import Log

# As long as the scheduler lets a check wait: a quarter of the interval, at most a second.
_LONGEST_WAIT_S = 1.0
# With less than this a try would only measure our own haste.
_LEAST_BUDGET_MS = 1000
_SKIP_MESSAGES = {
    ErrorType.SKIPPED_OVERRUN: "skipped: the check of the slot before was still running",
    ErrorType.SKIPPED_OVERLOAD: "skipped: the agent runs as many checks as it may",
    ErrorType.SKIPPED_HOST: "skipped: as many checks as may be at that host at a time are there",
    ErrorType.STOPPED: "abandoned: the agent stopped before the check could start",
    ErrorType.SKIPPED_STALL: "skipped: the agent was paused or too slow to start it in time",
    ErrorType.SKIPPED_LEASE: "skipped: the lease had run out and nobody else had taken it",
}


@dataclass(slots=True, kw_only=True)
class _Course:
    """What a check has come to so far."""

    started: datetime
    failed: list[FailedAttempt] = field(default_factory=list)
    lag: Lag = field(default_factory=Lag)


class CheckRunner:
    """Runs checks and hands each heartbeat, without secrets, to `emit`, which must not block.

    `permit` answers with the leadership under which a try may start at this moment, or None: it
    is asked again after every wait.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        places: HostPlaces,
        permit: Callable[[], Origin | None],
        clock: ServerClock,
        emit: Callable[[Heartbeat], None],
        log: Log,
    ) -> None:
        self._attempts = attempts
        self._places = places
        self._permit = permit
        self._clock = clock
        self._emit = emit
        self._log = log
        self._last: dict[MonitorId, Status] = {}

    async def run(self, check: Check) -> bool:
        """Try once, and again as the monitor says while the target fails and the slot lasts.

        False, and no heartbeat, if permission ended while the check waited for a place.
        """
        patience_s = min(_LONGEST_WAIT_S, check.monitor.interval_s / 4)
        waiting = True
        try:
            async with self._places.place(check.monitor.target, patience_s) as got:
                waiting = False
                if not got:
                    self.skip(check, ErrorType.SKIPPED_HOST)
                elif (origin := self._permit()) is not None:
                    await self._run(replace(check, origin=origin))
                else:
                    return False
        except asyncio.CancelledError:
            if waiting:
                self.skip(check, ErrorType.STOPPED)
            raise
        return True

    async def _run(self, check: Check) -> None:
        course = _Course(started=self._clock.now())
        try:
            result = await self._try(check, course)
        except asyncio.CancelledError:
            result = our_fault(ErrorType.STOPPED, "abandoned: the agent stopped during the check")
            self._finish(check, course, result)
            raise
        try:
            self._finish(check, course, result)
        except (TypeError, ValueError, AttributeError) as error:
            # The result of a plugin that is no such thing, found out when it was judged.
            self._log.probe_failed(check.monitor, error)
            text = f"the {check.monitor.type} probe returned what cannot be judged: {error}"
            self._finish(check, course, our_fault(ErrorType.INTERNAL, text))

    def skip(self, check: Check, cause: ErrorType) -> None:
        """Record a slot in which no check ran, and why."""
        result = our_fault(cause, _SKIP_MESSAGES[cause])
        self._finish(check, _Course(started=self._clock.now()), result, attempts=0)

    async def _try(self, check: Check, course: _Course) -> ProbeResult:
        """The result of the last try; the ones before it are in the course."""
        monitor = check.monitor
        timeout_ms = monitor.timeout_ms
        while True:
            attempt = await self._attempts.make(monitor, timeout_ms)
            course.lag = attempt.lag
            left_ms = await self._wait_for_another(check, attempt, len(course.failed))
            if left_ms is None or attempt.result.failure is None:
                return attempt.result
            course.failed.append(
                FailedAttempt(failure=attempt.result.failure, total_ms=attempt.result.total_ms)
            )
            timeout_ms = min(monitor.timeout_ms, left_ms)

    async def _wait_for_another(self, check: Check, attempt: Attempt, so_far: int) -> int | None:
        """What is left of the slot for another try, in ms, after the delay; None: no more tries."""
        monitor = check.monitor
        if not attempt.worth_another or so_far >= monitor.retries:
            return None
        delay = timedelta(milliseconds=monitor.retry_delay_ms)
        ends = check.scheduled_at + timedelta(seconds=monitor.interval_s)
        left_ms = (ends - self._clock.now() - delay) // timedelta(milliseconds=1)
        if left_ms < min(monitor.timeout_ms, _LEAST_BUDGET_MS):
            return None
        await asyncio.sleep(delay.total_seconds())
        return left_ms if self._permit() is not None else None

    def _finish(
        self, check: Check, course: _Course, result: ProbeResult, attempts: int | None = None
    ) -> None:
        monitor = check.monitor
        status = judge(result, monitor.thresholds, stalled_ms=course.lag.total_ms)
        evidence = _why_evidence(self._last.get(monitor.id), status)
        self._last[monitor.id] = status
        self._emit(
            Heartbeat(
                monitor=monitor,
                origin=check.origin,
                scheduled_at=check.scheduled_at,
                executed_at=course.started,
                attempts=len(course.failed) + 1 if attempts is None else attempts,
                status=status,
                result=monitor.redactor.result(result),
                evidence=evidence,
                failed_attempts=tuple(
                    replace(each, failure=monitor.redactor.failure(each.failure))
                    for each in course.failed
                ),
                lag_ms=course.lag.worst_ms or None,
            )
        )


def _why_evidence(before: Status | None, status: Status) -> EvidenceReason | None:
    if status in (Status.DOWN, Status.UNKNOWN):
        return EvidenceReason.FAILURE
    return None if before is status else EvidenceReason.CHANGE
