"""How does one due check become one heartbeat, whatever the probe does?"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from uptimeo.clock import ServerClock
from uptimeo.domain.check import Check
from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.monitor import MonitorId
from uptimeo.domain.result import ErrorType, Failure, Outcome, ProbeResult, our_fault
from uptimeo.domain.verdict import Status, judge
from uptimeo.probes.base import ProbeContext, ProbeOptions
from uptimeo.probes.references import References
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.telemetry import Log

# A probe keeps its own budget; one that does not is cut off this much later.
_PATIENCE_S = 0.5
_SKIP_MESSAGES = {
    ErrorType.SKIPPED_OVERRUN: "skipped: the check of the slot before was still running",
    ErrorType.SKIPPED_OVERLOAD: "skipped: the agent runs as many checks as it may",
    ErrorType.STOPPED: "abandoned: the agent stopped before the check could start",
    ErrorType.SKIPPED_STALL: "skipped: the agent was paused or too slow to start it in time",
    ErrorType.SKIPPED_LEASE: "skipped: the lease had run out and nobody else had taken it",
}


class CheckRunner:
    """Runs checks and hands each heartbeat to `emit`, which must not block."""

    def __init__(
        self,
        *,
        registry: ProbeRegistry,
        references: References,
        clock: ServerClock,
        emit: Callable[[Heartbeat], None],
        log: Log,
    ) -> None:
        self._registry = registry
        self._references = references
        self._clock = clock
        self._emit = emit
        self._log = log
        self._last: dict[MonitorId, Status] = {}

    async def run(self, check: Check) -> None:
        """Probe within the monitor's timeout; a probe's bug or hang is `unknown`, never `down`."""
        started, began = self._clock.now(), time.monotonic()
        try:
            result = await self._unless_isolated(await self._probe(check), began)
        except asyncio.CancelledError:
            result = our_fault(ErrorType.STOPPED, "abandoned: the agent stopped during the check")
            self._finish(check, started, result)
            raise
        try:
            self._finish(check, started, result)
        except (TypeError, ValueError, AttributeError) as error:
            # The result of a plugin that is no such thing, found out when it was judged.
            self._log.probe_failed(check.monitor, error)
            text = f"the {check.monitor.type} probe returned what cannot be judged: {error}"
            self._finish(check, started, our_fault(ErrorType.INTERNAL, text))

    def skip(self, check: Check, cause: ErrorType) -> None:
        """Record a slot in which no check ran, and why."""
        result = our_fault(cause, _SKIP_MESSAGES[cause])
        self._finish(check, self._clock.now(), result, attempts=0)

    async def _probe(self, check: Check) -> ProbeResult:
        monitor = check.monitor
        probe = self._registry.get(monitor.type)
        assert probe is not None, f"the catalog let the unknown type {monitor.type!r} pass"
        assert isinstance(monitor.options, ProbeOptions)
        context = ProbeContext(timeout_ms=monitor.timeout_ms)
        try:
            async with asyncio.timeout(monitor.timeout_ms / 1000 + _PATIENCE_S) as patience:
                result = await probe.probe(monitor.options, context)
            assert isinstance(result, ProbeResult), f"it returned {result!r}"
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it stays its own
            if isinstance(error, TimeoutError) and patience.expired():
                text = f"the {monitor.type} probe did not end within its {monitor.timeout_ms} ms"
                return our_fault(ErrorType.STUCK, text)
            self._log.probe_failed(monitor, error)
            text = f"the {monitor.type} probe failed: {type(error).__name__}: {error}"
            return our_fault(ErrorType.INTERNAL, text)
        else:
            return result

    async def _unless_isolated(self, result: ProbeResult, began: float) -> ProbeResult:
        """A failure while no reference answers is our own network's, and no word on the target."""
        failure = result.failure
        if result.outcome is not Outcome.DOWN or failure is None:
            return result
        if not await self._references.isolated_since(began):
            return result
        text = f"isolated: no reference target answers either; the check said: {failure.message}"
        own = Failure(type=ErrorType.ISOLATED, message=text, phase=failure.phase)
        return replace(result, failure=own)

    def _finish(
        self, check: Check, started: datetime, result: ProbeResult, attempts: int = 1
    ) -> None:
        monitor = check.monitor
        status = judge(result, monitor.thresholds)
        changed = self._last.get(monitor.id) is not status
        self._last[monitor.id] = status
        self._emit(
            Heartbeat(
                monitor=monitor,
                origin=check.origin,
                scheduled_at=check.scheduled_at,
                executed_at=started,
                queue_ms=max(0.0, (started - check.scheduled_at).total_seconds() * 1000),
                attempts=attempts,
                status=status,
                result=result,
                evidence=monitor.keep_body or changed or status in (Status.DOWN, Status.UNKNOWN),
            )
        )
