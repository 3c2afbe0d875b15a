"""What is a monitor?"""

from dataclasses import dataclass, field
from typing import NewType

from uptimeo.domain.redaction import Redactor

MonitorId = NewType("MonitorId", int)
DatacenterId = NewType("DatacenterId", int)

DEFAULT_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Total response times in ms from which a successful check is degraded, and critical."""

    warning_ms: int | None = None
    critical_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """What to watch and how often: one valid config row, with its schedule folded in.

    `options` is the model of the probe type (`uptimeo.probes.base.ProbeOptions`); only that
    probe looks inside. A target that fails is tried up to `retries` times more within its slot,
    each time after the delay. `redactor` knows the secrets in `options` and `target`. Two equal
    monitors ask for exactly the same checks.
    """

    id: MonitorId
    name: str
    type: str
    target: str = field(repr=False)
    interval_s: int
    timeout_ms: int
    thresholds: Thresholds
    keep_body: bool
    options: object = field(repr=False)
    retries: int = 0
    retry_delay_ms: int = 0
    redactor: Redactor = field(default_factory=Redactor)


def effective_timeout_ms(wanted_ms: int | None, interval_s: int) -> int:
    """The total budget of one check: what was asked for, never more than the interval."""
    return min(wanted_ms or DEFAULT_TIMEOUT_MS, interval_s * 1000)
