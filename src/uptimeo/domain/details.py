"""What of a probe's own facts is kept with a heartbeat, and how much at most? Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uptimeo.domain.result import Failure, Phases
from uptimeo.domain.text import one_line, storable

MAX_BYTES = 8192
_MAX_TEXT = 500
_MAX_KEY = 100
_MAX_ITEMS = 100
_MAX_DEPTH = 8
_LARGEST_INT = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """A try of a check that was followed by another one."""

    failure: Failure
    total_ms: float | None

    def as_json(self) -> dict[str, Any]:
        """For `details.failed_attempts`."""
        return {
            "error_type": self.failure.type.value,
            "error_message": one_line(self.failure.message, _MAX_TEXT),
            "failed_phase": str(self.failure.phase) if self.failure.phase else None,
            "total_ms": self.total_ms,
        }


def details(
    phases: Phases,
    facts: Mapping[str, Any],
    attempts: Sequence[FailedAttempt] = (),
    lag_ms: float | None = None,
) -> dict[str, Any] | None:
    """The value of `api_heartbeats.details`; None when there is nothing to say.

    At most `MAX_BYTES` of JSON: our own keys first, then the facts in their order. What has no
    room is left out, and `truncated` says so.
    """
    given: dict[str, Any] = {}
    if phases.own:
        given["phases"] = {f"{name}_ms": value for name, value in phases.own.items()}
    if attempts:
        given["failed_attempts"] = [attempt.as_json() for attempt in attempts]
    if lag_ms is not None:
        given["lag_ms"] = lag_ms
    return _fitting(given | dict(facts)) or None


def storable_json(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """A value as PostgreSQL's jsonb takes it: no NaN, NUL or lone surrogate; texts, lists bounded.

    Anything that JSON does not know becomes its text.
    """
    match value:
        case None | bool():
            return value
        case int() | float():
            return _number(value)
        case Mapping():
            pairs = list(value.items())[:_MAX_ITEMS] if depth > 0 else []
            return {storable(str(k), _MAX_KEY): storable_json(v, depth - 1) for k, v in pairs}
        case list() | tuple():
            each = value[:_MAX_ITEMS] if depth > 0 else ()
            return [storable_json(one, depth - 1) for one in each]
        case _:
            return storable(str(value), _MAX_TEXT)


def _number(value: float) -> float | None:
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST_INT else None
    return round(value, 3) if math.isfinite(value) else None


def _fitting(given: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    room = MAX_BYTES - len('{"truncated":true}')
    for key, value in storable_json(given).items():
        size = len(_encoded({key: value}))
        if size > room:
            kept["truncated"] = True
        else:
            kept[key] = value
            room -= size
    return kept


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
