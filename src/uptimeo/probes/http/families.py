"""What do a check by IPv4 and one by IPv6 make together? Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uptimeo.probes.base import Failure, Outcome, ProbeResult

_WORST_FIRST = (Outcome.DOWN, Outcome.UNKNOWN, Outcome.UP)


def combined(results: Mapping[str, ProbeResult]) -> ProbeResult:
    """The result of the family that failed, or else took longer; the fact `families` has both."""
    worst = min(results.values(), key=_rank)
    facts = {"families": {name: _summary(each) for name, each in results.items()}}
    return replace(worst, failure=_failure(results, worst), facts=facts | dict(worst.facts))


def _rank(result: ProbeResult) -> tuple[int, float]:
    return _WORST_FIRST.index(result.outcome), -(result.total_ms or 0.0)


def _failure(results: Mapping[str, ProbeResult], worst: ProbeResult) -> Failure | None:
    if worst.failure is None:
        return None
    told = [
        f"by {name}: {each.failure.message}"
        for name, each in results.items()
        if each.failure is not None
    ]
    fine = [f"by {name} it is up" for name, each in results.items() if each.failure is None]
    return replace(worst.failure, message="; ".join(told + fine))


def _summary(result: ProbeResult) -> dict[str, Any]:
    phases = result.phases
    return {
        "outcome": result.outcome.value,
        "ip": result.resolved_ip,
        "status": result.exchange.status_code if result.exchange else None,
        "total_ms": result.total_ms,
        "phases": {str(name): ms for name, ms in (*phases.measured(), *phases.own.items())},
        "error_type": result.failure.type.value if result.failure else None,
    }
