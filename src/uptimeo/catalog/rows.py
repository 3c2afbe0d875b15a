"""Is this config row a monitor, and if not, why not?"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from uptimeo.domain.errors import InvalidMonitorError
from uptimeo.domain.monitor import Monitor, MonitorId, Thresholds, effective_timeout_ms
from uptimeo.domain.redaction import Redactor, literal_secrets
from uptimeo.domain.references import Reference, Values, references, resolved
from uptimeo.domain.text import one_line
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage.monitors import MonitorRow

_REQUEST_COLUMNS = ("method", "headers", "body")
_COLUMNS = frozenset({"url", *_REQUEST_COLUMNS})
# What may hold references.
_TEXTS = ("url", "headers", "body", "options")
_MAX_REASON = 300


def to_monitor(row: MonitorRow, registry: ProbeRegistry, values: Values | None = None) -> Monitor:
    """The monitor that the row describes, with the values that its references stand for.

    Raises InvalidMonitorError with a reason for the row's owner: it names the column, and never
    repeats a value that may be a secret.
    """
    values = values or Values()
    for column in _TEXTS:
        for reference in sorted(references(getattr(row, column))):
            if reference not in values.known:
                why = values.missing.get(reference, "is not known here")
                raise InvalidMonitorError(one_line(f"{column}: {reference} {why}", _MAX_REASON))
    redactor = redactor_of(row, values)
    full = replace(row, **{name: resolved(getattr(row, name), values.known) for name in _TEXTS})
    try:
        return _monitor(full, registry, redactor)
    except ValidationError as error:
        raise InvalidMonitorError(_reason(_faults(error)[0], redactor)) from error


def told_monitor(row: MonitorRow, registry: ProbeRegistry) -> Monitor | None:
    """The monitor of a row whose references stand for themselves, for who lacks their values.

    None if only an agent can tell whether it is one. Raises as `to_monitor` does for what is wrong
    whatever the references stand for.
    """
    try:
        return _monitor(row, registry, redactor_of(row, Values()))
    except ValidationError as error:
        columns: dict[str, Any] = {column: getattr(row, column) for column in _TEXTS}
        for fault in settled_faults(error, columns | columns["options"]):
            raise InvalidMonitorError(_reason(fault, Redactor())) from error
        return None


def settled_faults(error: ValidationError, values: Mapping[str, Any]) -> list[ErrorDetails]:
    """The faults that are some whatever the references in the values, by option, stand for."""
    return [fault for fault in _faults(error) if not _hangs_on_references(values, fault["loc"])]


def row_references(rows: Iterable[MonitorRow]) -> frozenset[Reference]:
    """Every reference in the rows."""
    each = (references([getattr(row, column) for column in _TEXTS]) for row in rows)
    return frozenset().union(*each)


def redactor_of(row: MonitorRow, values: Values) -> Redactor:
    """What hides the secrets of a row: what its references stand for, and what it says itself."""
    referred = {values.known[each] for each in row_references([row]) if each in values.known}
    said = {text for column in _TEXTS for text in literal_secrets(getattr(row, column), column)}
    return Redactor(frozenset(referred | {text for text in said if not references(text)}))


def _monitor(row: MonitorRow, registry: ProbeRegistry, redactor: Redactor) -> Monitor:
    if row.interval_s is None:
        raise InvalidMonitorError("schedule_id: the monitor has no schedule")
    options = _options(row, registry)
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
        redactor=redactor,
    )


def _options(row: MonitorRow, registry: ProbeRegistry) -> ProbeOptions:
    """The row's request, as the model of its probe type; raises ValidationError, too."""
    probe = registry.get(row.type)
    if probe is None:
        known = ", ".join(registry.names())
        raise InvalidMonitorError(f"type: {row.type!r} is not installed; there are: {known}")
    if not isinstance(row.options, dict):
        raise InvalidMonitorError("options: must be a JSON object")
    if row.headers is not None and not isinstance(row.headers, dict):
        raise InvalidMonitorError("headers: must be a JSON object of names and values")
    if taken := sorted(_COLUMNS & row.options.keys()):
        raise InvalidMonitorError(f"options: {taken[0]!r} belongs into the column of that name")
    return probe.options.model_validate(_given(row, probe.options) | row.options)


def _given(row: MonitorRow, model: type[ProbeOptions]) -> dict[str, Any]:
    columns = {column: getattr(row, column) for column in _REQUEST_COLUMNS}
    return {"url": row.url} | {
        column: value
        for column, value in columns.items()
        if value is not None and column in model.model_fields
    }


def _faults(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False, include_context=False)


def _hangs_on_references(values: Mapping[str, Any], place: tuple[int | str, ...]) -> bool:
    """Whether what stands at that place, or anything if it is the whole, has a reference."""
    return bool(references(values.get(str(place[0])) if place else dict(values)))


def _reason(fault: ErrorDetails, redactor: Redactor) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "options"
    text = redactor.text(fault["msg"].removeprefix("Value error, "))
    return one_line(f"{where}: {text[:1].lower()}{text[1:]}", _MAX_REASON)
