"""Where does the time of one check go? On the monotonic clock, phase by phase."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from uptimeo.domain.result import Exchange, Failure, Phase, Phases, ProbeResult
from uptimeo.probes.failing import TargetError


class Timeline:
    """The stopwatch of one check; begins to run when it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spent: dict[str, float] = {}
        self._first_byte_ms: float | None = None
        self.resolved_ip: str | None = None

    def phase(self, name: Phase | str) -> AbstractContextManager[None]:
        """Add what happens inside to that phase, also when it fails; a failure gets its name."""
        return _Running(self, name)

    def add(self, name: Phase | str, ms: float) -> None:
        """Add to a phase what was measured otherwise; several times in one phase add up."""
        self._spent[str(name)] = self._spent.get(str(name), 0.0) + ms

    def first_byte(self) -> None:
        """Note that the target's answer begins now; only the first call counts."""
        if self._first_byte_ms is None:
            self._first_byte_ms = self.elapsed_ms()

    def elapsed_ms(self) -> float:
        """Since the check began."""
        return (time.perf_counter() - self._began) * 1000

    def phases(self) -> Phases:
        """What was measured so far."""
        return Phases.of(self._spent)

    def result(
        self,
        failure: Failure | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        exchange: Exchange | None = None,
    ) -> ProbeResult:
        """The result of the check, which ends now: a success unless there is a failure."""
        return ProbeResult(
            total_ms=self.elapsed_ms(),
            phases=self.phases(),
            ttfb_ms=self._first_byte_ms,
            resolved_ip=self.resolved_ip,
            failure=failure,
            facts=facts or {},
            exchange=exchange,
        )


class _Running(AbstractContextManager[None]):
    """A phase under way.

    Not made by `contextmanager`: its frame holds an error that is raised again as another, in a
    cycle with its traceback, and what a failed check had would wait for the collector of these.
    """

    def __init__(self, timeline: Timeline, name: Phase | str) -> None:
        self._timeline = timeline
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._timeline.add(self._name, (time.perf_counter() - self._began) * 1000)
        if isinstance(error, TargetError) and error.failure.phase is None:
            raise error.within(self._name) from error
