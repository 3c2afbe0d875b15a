"""What does a result mean, given the monitor's thresholds?"""

from enum import StrEnum
from typing import assert_never

from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import Outcome, ProbeResult


class Status(StrEnum):
    """The closed list of `api_heartbeats.status`."""

    UP = "up"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    DOWN = "down"
    UNKNOWN = "unknown"


def judge(result: ProbeResult, thresholds: Thresholds, stalled_ms: float = 0.0) -> Status:
    """A threshold is passed when the total is above it; critical wins over warning.

    `stalled_ms` is for how long we stood still meanwhile: a target is slow only if it would be
    without that.
    """
    match result.outcome:
        case Outcome.DOWN:
            return Status.DOWN
        case Outcome.UNKNOWN:
            return Status.UNKNOWN
        case Outcome.UP:
            total = (result.total_ms or 0.0) - stalled_ms
            if thresholds.critical_ms is not None and total > thresholds.critical_ms:
                return Status.CRITICAL
            if thresholds.warning_ms is not None and total > thresholds.warning_ms:
                return Status.DEGRADED
            return Status.DEGRADED if result.degraded else Status.UP
        case _:
            assert_never(result.outcome)


def success(status: Status) -> bool | None:
    """`api_heartbeats.success`: slow is still a success; unknown is neither."""
    return None if status is Status.UNKNOWN else status is not Status.DOWN
