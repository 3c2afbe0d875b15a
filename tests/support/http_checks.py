"""How does a test check a URL once? Every check here also holds the sums to account."""

from typing import Any

from uptimeo.domain.result import ErrorType, Failure, ProbeResult
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe


async def check(url: str, *, timeout_ms: int = 3000, **options: Any) -> ProbeResult:
    """The result of one check with a probe of its own."""
    probe = HttpProbe()
    try:
        return await check_with(probe, url, timeout_ms=timeout_ms, **options)
    finally:
        await probe.aclose()


async def check_with(
    probe: HttpProbe, url: str, *, timeout_ms: int = 3000, **options: Any
) -> ProbeResult:
    """The result of one check, after its figures were found consistent."""
    result = await probe.probe(HttpOptions(url=url, **options), ProbeContext(timeout_ms=timeout_ms))
    assert_accounted(result)
    return result


def assert_accounted(result: ProbeResult) -> None:
    """Phases and the rest make the total; what failed is the last phase that was reached."""
    assert result.total_ms is not None
    assert result.other_ms is not None
    measured = result.phases.measured()
    assert all(value >= 0 for _, value in measured)
    assert abs(result.phases.total() + result.other_ms - result.total_ms) <= 0.01
    if result.ttfb_ms is not None:
        assert 0 < result.ttfb_ms <= result.total_ms + 0.01
    if result.failure is not None and result.failure.phase is not None:
        assert result.failure.phase in (measured[-1][0], *result.phases.own)


def failure_of(result: ProbeResult, expected: ErrorType) -> Failure:
    """The failure, which has to be of that type."""
    assert result.failure is not None, f"expected {expected}, and the check succeeded"
    assert result.failure.type is expected, result.failure
    return result.failure


def up(result: ProbeResult) -> ProbeResult:
    """The result, which has to be a success."""
    assert result.failure is None, result.failure
    return result


def milliseconds(value: float | None) -> float:
    """A phase that has to have been reached."""
    assert value is not None
    return value
