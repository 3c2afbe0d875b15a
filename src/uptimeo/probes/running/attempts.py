"""How is one try of a check made, whatever the probe does, and may its figures be believed?"""

import asyncio
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from uptimeo.domain.monitor import Monitor
from uptimeo.domain.result import ErrorType, Failure, Outcome, ProbeResult, our_fault
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions
from uptimeo.probes.context import Limits
from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.network.resolver import Resolver, SystemResolver
from uptimeo.probes.network.tls import TlsContexts
from uptimeo.probes.push.signals import SignalSource
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.lag import Lag, LoopLag
from uptimeo.probes.running.references import References
from uptimeo.telemetry import Log

# A probe keeps its own budget; one that does not is cut off this much later.
_PATIENCE_S = 0.5
# A timeout is not believed if we stood still for more than this part of the budget.
_DOUBTFUL = 0.1
_TIMEOUTS = frozenset(kind for kind in ErrorType if kind.value.endswith("timeout"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all checks of an agent have in common."""

    guard: AddressGuard = field(default_factory=AddressGuard)
    resolver: Resolver = field(default_factory=SystemResolver)
    tls: TlsContexts = field(default_factory=TlsContexts)
    limits: Limits = field(default_factory=Limits)
    signals: SignalSource | None = None
    exec_file: Path | None = None

    def context(self, timeout_ms: int) -> ProbeContext:
        """The context of a try that begins now."""
        return ProbeContext(
            timeout_ms=timeout_ms,
            guard=self.guard,
            resolver=self.resolver,
            tls=self.tls,
            limits=self.limits,
            signals=self.signals,
            exec_file=self.exec_file,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one try, and how our own loop was during it."""

    result: ProbeResult
    lag: Lag

    @property
    def worth_another(self) -> bool:
        """Whether the target failed, or we stood still; another fault of ours would only recur."""
        failure = self.result.failure
        stalled = failure is not None and failure.type is ErrorType.STALLED
        return self.result.outcome is Outcome.DOWN or stalled


class Attempts:
    """Makes tries. A probe's bug or hang, our stall or isolation is `unknown`, never `down`.

    `lag` tells of stalls once its loop runs; until then there are none.
    """

    def __init__(
        self,
        *,
        registry: ProbeRegistry,
        references: References,
        shared: Shared,
        log: Log,
    ) -> None:
        self._registry = registry
        self._references = references
        self._shared = shared
        self.lag = LoopLag()
        self._log = log

    async def make(self, monitor: Monitor, timeout_ms: int) -> Attempt:
        """Probe once within that budget."""
        loop, began = asyncio.get_running_loop(), time.monotonic()
        began_s = loop.time()
        result = await self._probe(monitor, timeout_ms)
        lag = self.lag.since(began_s)
        result = _unless_stalled(result, lag, timeout_ms)
        return Attempt(result=await self._unless_isolated(result, began), lag=lag)

    async def _probe(self, monitor: Monitor, timeout_ms: int) -> ProbeResult:
        probe = self._registry.get(monitor.type)
        assert probe is not None, f"the catalog let the unknown type {monitor.type!r} pass"
        options = monitor.options
        assert isinstance(options, ProbeOptions)
        try:
            async with asyncio.timeout(timeout_ms / 1000 + _PATIENCE_S) as patience:
                return await self._ask(probe, options, timeout_ms)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it stays its own
            if isinstance(error, TimeoutError) and patience.expired():
                text = f"the {monitor.type} probe did not end within its {timeout_ms} ms"
                return our_fault(ErrorType.STUCK, text)
            self._log.probe_failed(monitor, error)
            text = f"the {monitor.type} probe failed: {type(error).__name__}: {error}"
            return our_fault(ErrorType.INTERNAL, text)

    async def _ask(
        self, probe: Probe[ProbeOptions], options: ProbeOptions, timeout_ms: int
    ) -> ProbeResult:
        result = await probe.probe(options, self._shared.context(timeout_ms))
        assert isinstance(result, ProbeResult), f"it returned {result!r}"
        return result

    async def _unless_isolated(self, result: ProbeResult, began: float) -> ProbeResult:
        """A failure while no reference answers is our own network's, and no word on the target."""
        failure = result.failure
        if result.outcome is not Outcome.DOWN or failure is None:
            return result
        if not await self._references.isolated_since(began):
            return result
        text = f"isolated: no reference target answers either; the check said: {failure.message}"
        return _ours(result, failure, ErrorType.ISOLATED, text)


def _unless_stalled(result: ProbeResult, lag: Lag, timeout_ms: int) -> ProbeResult:
    """A timeout while our own loop stood still may be nobody's but ours."""
    failure = result.failure
    if failure is None or failure.type not in _TIMEOUTS:
        return result
    if lag.total_ms <= timeout_ms * _DOUBTFUL:
        return result
    text = f"the agent stood still for {lag.total_ms:.0f} ms; the check said: {failure.message}"
    return _ours(result, failure, ErrorType.STALLED, text)


def _ours(result: ProbeResult, failure: Failure, kind: ErrorType, text: str) -> ProbeResult:
    return replace(result, failure=Failure(type=kind, message=text, phase=failure.phase))
