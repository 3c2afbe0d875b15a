"""Where does the time of one check go? On the monotonic clock, phase by phase."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

    @contextmanager
    def phase(self, name: Phase | str) -> Iterator[None]:
        """Add what happens inside to that phase, also when it fails; a failure gets its name."""
        began = time.perf_counter()
        try:
            yield
        except TargetError as error:
            if error.failure.phase is not None:
                raise
            # In no variable of this frame: the error's traceback holds the frame, and a check's
            # memory would wait for the collector of cycles.
            raise error.within(name) from error
        finally:
            self.add(name, (time.perf_counter() - began) * 1000)

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
