"""What was found when something was examined, and what is to be done about it?"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How the examined thing is. `UNKNOWN`: it could not be seen, which is no fault of its own."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one examination.

    `examination` is a name that does not change, `what` the thing that was looked at, `value` what
    was found, `advice` what to do; empty if nothing is to be done.
    """

    examination: str
    condition: Condition
    what: str
    value: str
    advice: str = ""


_GRAVITY = (Condition.CRITICAL, Condition.WARNING)


def worst(findings: Iterable[Finding]) -> Condition:
    """The gravest condition among them; what could not be seen counts for nothing."""
    seen = {finding.condition for finding in findings}
    return next((each for each in _GRAVITY if each in seen), Condition.OK)
