"""How far off are this agent's own times? The loop that measures it now and then."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from uptimeo.calibration.measure import PHASES, Calibration, PhaseError, Plan
from uptimeo.domain.errors import FatalError
from uptimeo.telemetry import Log

# Five seconds of four checks each: enough for a figure, too little to be in anybody's way.
PLAN = Plan(checks=20, rate=4.0, hold_ms=20.0)
_FIRST_S = 60.0
_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """One phase: quantiles in ms of the last measurement; count and total of all there were."""

    name: str
    quantiles: tuple[tuple[str, float], ...]
    count: int
    total_ms: float


class SelfCalibration:
    """Measures the first time after a minute, and then about every `every_s` seconds.

    `measure` makes the checks of a plan, against a target that ends with it. Whatever goes wrong
    there is an event and a count, and nothing of it reaches the agent.
    """

    def __init__(
        self, *, measure: Callable[[Plan], Awaitable[Calibration]], every_s: float, log: Log
    ) -> None:
        self._measure = measure
        self._every_s = every_s
        self._log = log
        self._phases: dict[str, PhaseFigures] = {}
        self.measured_at: datetime | None = None
        self.failures = 0

    def phases(self) -> list[PhaseFigures]:
        """The figures of each phase that was measured; none before the first time."""
        return list(self._phases.values())

    async def run(self) -> None:
        """Measure for ever."""
        delay_s = min(_FIRST_S, self._every_s)
        while True:
            await asyncio.sleep(delay_s * random.uniform(0.9, 1.1))  # noqa: S311
            await self.attempt()
            delay_s = self._every_s

    async def attempt(self) -> None:
        """Measure once, now."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                self._take(await self._measure(PLAN))
        except Exception as error:  # noqa: BLE001 - it is about our figures, never about our work
            self.failures += 1
            self._log.calibration_failed(error)

    def _take(self, found: Calibration) -> None:
        if not found.errors:
            raise FatalError(f"no check of {found.checks} succeeded; the first: {found.failed[0]}")
        good = found.checks - len(found.failed)
        self._phases = {each.phase: self._grown(each, good) for each in found.errors}
        self.measured_at = datetime.now(UTC)

    def _grown(self, error: PhaseError, checks: int) -> PhaseFigures:
        assert error.phase in PHASES
        before = self._phases.get(error.phase)
        return PhaseFigures(
            name=error.phase.replace(" ", "_"),
            quantiles=(("0.5", error.p50_ms), ("0.99", error.p99_ms), ("1", error.max_ms)),
            count=checks + (before.count if before else 0),
            total_ms=error.mean_ms * checks + (before.total_ms if before else 0.0),
        )
