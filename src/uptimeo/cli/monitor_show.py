"""How does one config row look as it is in force? Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from textwrap import wrap
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from uptimeo.cli.masking import masked_url, masked_value
from uptimeo.cli.palette import Pen
from uptimeo.cli.schemas import COLUMNS
from uptimeo.domain.monitor import DEFAULT_TIMEOUT_MS, Monitor
from uptimeo.domain.text import storable
from uptimeo.probes.base import ProbeOptions
from uptimeo.storage.evidence import Evidence
from uptimeo.storage.monitors import MonitorRow

_LABEL = 19
_VALUE = 2000
_WIDEST = 100
_BODY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A row and what an agent makes of it: a monitor, or a reason why it is none.

    `revealed` is with its secrets.
    """

    row: MonitorRow
    datacenters: tuple[str, ...]
    monitor: Monitor | None
    invalid: str | None
    revealed: bool = False
    last_failure: Evidence | None = None

    @property
    def state(self) -> str:
        """The word for it."""
        return "invalid" if self.invalid else "up" if self.row.enabled else "disabled"

    @property
    def target(self) -> str:
        """What is checked."""
        if self.revealed:
            return self.row.url
        return masked_url(self.row.url if self.monitor is None else self.monitor.target)

    @property
    def request(self) -> dict[str, Any]:
        """The columns that the probe takes; all of them if none can be told."""
        columns = [name for name in COLUMNS if name != "url"]
        if self.monitor is not None and isinstance(self.monitor.options, ProbeOptions):
            takes = type(self.monitor.options).model_fields
            columns = [name for name in columns if name in takes]
        found = {name: getattr(self.row, name) for name in columns}
        return {name: self._seen(value, name) for name, value in found.items() if value is not None}

    @property
    def options(self) -> dict[str, Any]:
        """The column `options`."""
        seen = self._seen(self.row.options)
        return seen if isinstance(seen, dict) else {"": seen}

    @property
    def defaults(self) -> dict[str, Any]:
        """The other options of the probe, as they are without being said."""
        if self.monitor is None or not isinstance(self.monitor.options, ProbeOptions):
            return {}
        options = self.monitor.options.model_dump(mode="json", by_alias=True)
        named = {*self.row.options, *COLUMNS}
        return {
            name: self._seen(value, name)
            for name, value in options.items()
            if name not in named and value not in (None, [], {}, "")
        }

    def _seen(self, value: Any, name: str = "") -> Any:
        return value if self.revealed else masked_value(value, name)

    def as_json(self) -> dict[str, Any]:
        """For scripts: every key whatever the row is."""
        row, monitor = self.row, self.monitor
        return {
            "id": row.id,
            "name": row.name,
            "type": row.type.lower(),
            "target": self.target,
            "enabled": row.enabled,
            "invalid": self.invalid,
            "schedule": row.schedule,
            "interval_s": row.interval_s,
            "timeout_ms": row.timeout_ms if monitor is None else monitor.timeout_ms,
            "warning_ms": row.warning_ms,
            "critical_ms": row.critical_ms,
            "keep_body": row.keep_body,
            "retries": row.retries,
            "retry_delay_ms": row.retry_delay_ms,
            "datacenters": list(self.datacenters) or None,
            "request": self.request,
            "options": self.options,
            "defaults": self.defaults,
            "last_failure": None if self.last_failure is None else _as_json(self.last_failure),
        }


@dataclass(frozen=True, slots=True)
class Sheet:
    """A rich renderable; see `sheet`."""

    shown: InForce

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The headline, what the row says of its checks, the request and the options."""
        pen, width = Pen(ascii_only=options.ascii_only), min(options.max_width, _WIDEST)
        shown = self.shown
        style = {"up": "green", "disabled": "dim", "invalid": "red"}[shown.state]
        word = {"up": "on", "disabled": "off", "invalid": "invalid"}[shown.state]
        head = Text.assemble((f"{pen.mark(shown.state)} {word}", f"bold {style}"), "  ")
        title = f"monitor {shown.row.id}: {pen.foreign(shown.row.name)}"
        yield head.append(pen.fit(title, width - head.cell_len), "bold")
        yield from _lines("target", pen.foreign(shown.target, _VALUE), "", width)
        if shown.invalid:
            yield from _lines("not checked", pen.foreign(shown.invalid), "red", width)
        groups = (
            _said_of_checks(shown),
            {name: _text(value) for name, value in shown.request.items()},
            {name: _text(value) for name, value in _flat(shown.options)},
            {"by default": ", ".join(f"{k}={_text(v)}" for k, v in shown.defaults.items())},
            _said_of_failure(shown.last_failure),
        )
        for group in groups:
            if any(group.values()):
                yield Text()
            for label, text in group.items():
                if text:
                    yield from _lines(label, pen.foreign(text, _VALUE), "", width)


def sheet(shown: InForce) -> Sheet:
    """A monitor for reading: what is said first, then what it is by default."""
    return Sheet(shown)


def _said_of_checks(shown: InForce) -> dict[str, str]:
    row, monitor = shown.row, shown.monitor
    every = f"every {row.interval_s} s" if row.interval_s else ""
    named = f'schedule "{row.schedule}"' if row.schedule and row.schedule != every else ""
    timeout = row.timeout_ms or DEFAULT_TIMEOUT_MS
    timeout = timeout if monitor is None else monitor.timeout_ms
    limits = [
        f"{word} above {ms} ms"
        for word, ms in (("degraded", row.warning_ms), ("critical", row.critical_ms))
        if ms is not None
    ]
    delay = f", {row.retry_delay_ms} ms after" if row.retries and row.retry_delay_ms else ""
    return {
        "type": row.type.lower(),
        "schedule": ", ".join(filter(None, (every, named))) or "none",
        "timeout": f"{timeout} ms",
        "thresholds": ", ".join(limits) or "none",
        "retries": f"{row.retries}{delay}{' a failed try' if delay else ''}",
        "where": ", ".join(shown.datacenters) or "all datacenters",
        "kept": "every answer" if row.keep_body else "failures and changes, for some days",
    }


def _said_of_failure(failure: Evidence | None) -> dict[str, str]:
    if failure is None:
        return {}
    when = f"{failure.scheduled_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC in {failure.datacenter}"
    said = {
        "last failure": f"{when}: {failure.error_message or failure.status} ({failure.error_type})",
        "tried": ", ".join(failure.addresses or ()),
        "sent": _headers(failure.request_headers),
        "received": _headers(failure.response_headers),
        "body": _text(failure.response_body)[:_BODY] if failure.response_body else "",
    }
    if (certificate := failure.certificate) is not None:
        ends = certificate.get("leaf_expires")
        said["certificate"] = f"{certificate.get('subject')}, valid until {ends}"
    return said


def _headers(headers: Mapping[str, str] | None) -> str:
    return "; ".join(f"{name}: {value}" for name, value in (headers or {}).items())


def _as_json(failure: Evidence) -> dict[str, Any]:
    when = failure.scheduled_at.astimezone(UTC).isoformat()
    return asdict(failure) | {"scheduled_at": when}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Objects by names with dots, as `--option` takes them."""
    for name, each in value.items():
        if isinstance(each, Mapping) and each:
            yield from _flat(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", each


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(label: str, text: str, style: str, width: int) -> Iterator[Text]:
    indent = " " * (_LABEL + 2)
    head = f"  {label:<{_LABEL}}" if len(label) < _LABEL else f"  {storable(label, width - 2)}"
    lines = wrap(text, max(20, width - len(indent)), break_on_hyphens=False) or [""]
    if len(label) >= _LABEL:
        yield Text(head, "dim")
        head = indent
    for number, line in enumerate(lines):
        yield Text.assemble((head if number == 0 else indent, "dim"), (line, style))
