"""What do a check by IPv4 and one by IPv6 make together?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from uptimeo.probes.base import Failure, Family, Outcome, ProbeResult

Families = Literal["any", "v4", "v6", "both"]

_BOTH = (Family.V4, Family.V6)
_WORST_FIRST = (Outcome.DOWN, Outcome.UNKNOWN, Outcome.UP)


async def by_families(
    wanted: Families, check: Callable[[Family], Awaitable[ProbeResult]]
) -> ProbeResult:
    """The result of a check by the wanted addresses; for both families, two at the same time."""
    if wanted != "both":
        return await check(Family(wanted))
    found = await asyncio.gather(*(check(each) for each in _BOTH))
    return combined(dict(zip(_BOTH, found, strict=True)))


def combined(results: Mapping[str, ProbeResult]) -> ProbeResult:
    """The result of the family that failed, or else took longer; the fact `families` has both.

    There the facts of the other one are kept too: what is news is told once.
    """
    worst = min(results.values(), key=_rank)
    facts = {
        "families": {
            name: _summary(each) | ({"facts": dict(each.facts)} if _is_news(each, worst) else {})
            for name, each in results.items()
        }
    }
    return replace(worst, failure=_failure(results, worst), facts=facts | dict(worst.facts))


def _is_news(each: ProbeResult, worst: ProbeResult) -> bool:
    return each is not worst and bool(each.facts)


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
