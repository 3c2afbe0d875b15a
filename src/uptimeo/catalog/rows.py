"""Is this config row a monitor, and if not, why not?"""

from typing import Any

from pydantic import ValidationError

from uptimeo.domain.errors import InvalidMonitorError
from uptimeo.domain.monitor import Monitor, MonitorId, Thresholds, effective_timeout_ms
from uptimeo.domain.text import one_line
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage.monitors import MonitorRow

_REQUEST_COLUMNS = ("method", "headers", "body")
_COLUMNS = frozenset({"url", *_REQUEST_COLUMNS})
_MAX_REASON = 300


def to_monitor(row: MonitorRow, registry: ProbeRegistry) -> Monitor:
    """The monitor that the row describes.

    Raises InvalidMonitorError with a reason for the row's owner: it names the column, and never
    repeats a value that may be a secret.
    """
    if row.interval_s is None:
        raise InvalidMonitorError("schedule_id: the monitor has no schedule")
    options = parse_options(row, registry)
    return Monitor(
        id=MonitorId(row.id),
        name=row.name,
        type=row.type.lower(),
        target=options.target,
        interval_s=row.interval_s,
        timeout_ms=effective_timeout_ms(row.timeout_ms, row.interval_s),
        thresholds=Thresholds(warning_ms=row.warning_ms, critical_ms=row.critical_ms),
        keep_body=bool(row.keep_body),
        options=options,
        retries=row.retries,
        retry_delay_ms=row.retry_delay_ms,
    )


def parse_options(row: MonitorRow, registry: ProbeRegistry) -> ProbeOptions:
    """The row's request, as the model of its probe type. Raises as `to_monitor` does."""
    probe = registry.get(row.type)
    if probe is None:
        known = ", ".join(registry.names())
        raise InvalidMonitorError(f"type: {row.type!r} is not installed; there are: {known}")
    if not isinstance(row.options, dict):
        raise InvalidMonitorError("options: must be a JSON object")
    if row.headers is not None and not isinstance(row.headers, dict):
        raise InvalidMonitorError("headers: must be a JSON object of names and values")
    given: dict[str, Any] = {"url": row.url}
    for column in _REQUEST_COLUMNS:
        value = getattr(row, column)
        if value is not None and column in probe.options.model_fields:
            given[column] = value
    if taken := sorted(_COLUMNS & row.options.keys()):
        raise InvalidMonitorError(f"options: {taken[0]!r} belongs into the column of that name")
    try:
        return probe.options.model_validate(given | row.options)
    except ValidationError as error:
        raise InvalidMonitorError(_first_reason(error)) from error


def _first_reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "options"
    text = first["msg"].removeprefix("Value error, ")
    return one_line(f"{where}: {text[:1].lower()}{text[1:]}", _MAX_REASON)
