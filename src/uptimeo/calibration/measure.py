"""How far off is each phase of a check, against a target that says how long it held it?"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import fmean, quantiles

from uptimeo.calibration.truth import Target, Truth, read_truth
from uptimeo.children import Child
from uptimeo.domain.result import Phases
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions

CONNECT, TLS, FIRST_BYTE, TRANSFER = "connect", "tls", "first byte", "transfer"
PHASES = (CONNECT, TLS, FIRST_BYTE, TRANSFER)
_TIMEOUT_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseError:
    """By how much the times of one phase were wrong, in ms, whichever way."""

    phase: str
    mean_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    def within(self, p50_ms: float, p99_ms: float) -> bool:
        """Whether it keeps these limits."""
        return self.p50_ms <= p50_ms and self.p99_ms <= p99_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What came of some checks; of those that failed nothing is known but `failed`, the texts."""

    checks: int
    errors: tuple[PhaseError, ...]
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many checks, how many of them a second, and for how long the target holds each phase."""

    checks: int = 300
    rate: float = 20.0
    hold_ms: float = 20.0


@asynccontextmanager
async def calibration_target(hold_ms: float, host: str = "127.0.0.1") -> AsyncIterator[Target]:
    """The target, in a process of its own. Raises FatalError if it does not start."""
    child = await Child.start(
        "uptimeo.calibration.target", str(hold_ms), host, what="the calibration target"
    )
    try:
        yield Target(**child.announced)
    finally:
        await child.stop()


async def calibrated(probe: Probe[ProbeOptions], plan: Plan) -> Calibration:
    """Measure by that probe of HTTP against a target that ends afterwards. Raises FatalError."""
    async with calibration_target(plan.hold_ms) as target:
        return await measure(probe, target, plan)


async def measure(probe: Probe[ProbeOptions], target: Target, plan: Plan) -> Calibration:
    """Check the target over TLS, again and again, by that probe of HTTP; and compare."""
    options = probe.options.model_validate({"url": target.https_url, "ca_pem": target.ca_pem})
    await _check(probe, options)  # libraries are loaded, and the authorities read
    loop, tasks = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(plan.checks):
        # Not in step: else what is held for one check would end as another begins.
        at = began + (number + random.random()) / plan.rate  # noqa: S311
        await asyncio.sleep(at - loop.time())
        tasks.append(asyncio.create_task(_check(probe, options)))
    ends = await asyncio.gather(*tasks)
    good = [end for end in ends if not isinstance(end, str)]
    failed = tuple(end for end in ends if isinstance(end, str))
    return Calibration(checks=len(ends), errors=summary(good), failed=failed)


async def _check(probe: Probe[ProbeOptions], options: ProbeOptions) -> Mapping[str, float] | str:
    """By how much each phase was wrong; a text if the check failed."""
    result = await probe.probe(options, ProbeContext(timeout_ms=_TIMEOUT_MS))
    if result.failure is not None or result.exchange is None:
        return result.failure.message if result.failure else "no exchange"
    return errors(result.phases, read_truth(result.exchange.body_start))


def errors(measured: Phases, truth: Truth) -> dict[str, float]:
    """By how much each phase is wrong, in ms; too much is positive.

    A connection over loopback stands within some 0.05 ms: all of `connect` counts as error.
    """
    found = {
        FIRST_BYTE: (measured.wait or 0.0) - truth.wait_ms,
        TRANSFER: (measured.transfer or 0.0) - truth.transfer_ms,
    }
    if measured.connect is not None:
        found[CONNECT] = measured.connect
    if measured.tls is not None:
        found[TLS] = measured.tls - truth.tls_ms
    return found


def summary(found: Sequence[Mapping[str, float]]) -> tuple[PhaseError, ...]:
    """For each phase that was measured twice or more."""
    by_phase = {name: [abs(one[name]) for one in found if name in one] for name in PHASES}
    return tuple(_error(name, each) for name, each in by_phase.items() if len(each) > 1)


def _error(phase: str, ms: Sequence[float]) -> PhaseError:
    cuts = quantiles(ms, n=100, method="inclusive")
    return PhaseError(
        phase=phase, mean_ms=fmean(ms), p50_ms=cuts[49], p99_ms=cuts[98], max_ms=max(ms)
    )
