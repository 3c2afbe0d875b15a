"""What is stored of one check, and in what form does it travel to PostgreSQL?"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from uptimeo.domain.details import FailedAttempt, details, storable_json
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.redaction import Redactor
from uptimeo.domain.result import Exchange, Phases, ProbeResult
from uptimeo.domain.text import one_line, storable, storable_body, storable_headers
from uptimeo.domain.verdict import Status, success

_SHORT = 50
_PHASE = 10
_MESSAGE = 500
_MOST_ADDRESSES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who made a heartbeat: the fence in the database judges by `term` and `holder`."""

    datacenter_id: DatacenterId
    agent_id: int | None
    term: int
    holder: str


class EvidenceReason(StrEnum):
    """Why headers, body, addresses and certificate of a check are kept for some days."""

    FAILURE = "failure"
    CHANGE = "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The record of one check. (monitor, datacenter, scheduled_at) is its natural key.

    `scheduled_at` is the slot, computed; `executed_at` is when the probe started, measured; both
    are UTC by the database's clock, and what lies between them is our own lateness. `evidence`
    says why more is kept than the figures, None that it is not. No secret of the monitor is in
    `result` and `failed_attempts`. `failed_attempts` are the tries before the one whose result
    this is; `lag_ms` is how late our own event loop was during it, if that was late enough to
    doubt its figures.
    """

    monitor: Monitor
    origin: Origin
    scheduled_at: datetime
    executed_at: datetime
    attempts: int
    status: Status
    result: ProbeResult
    evidence: EvidenceReason | None
    failed_attempts: tuple[FailedAttempt, ...] = ()
    lag_ms: float | None = None

    def __post_init__(self) -> None:
        for moment in (self.scheduled_at, self.executed_at):
            if moment.tzinfo is None:
                raise ValueError(f"a heartbeat's times carry a zone, and {moment!r} does not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What PostgreSQL did with a batch; `set_aside` has the reason by position in the batch."""

    inserted: int
    duplicate: int
    set_aside: Mapping[int, str]


def to_wire(beat: Heartbeat) -> str:
    """The JSON object that `heartbeats_ingest` takes: every text storable, no NaN, absent = null.

    Whatever came from the target passes `domain.text` here, so that one hostile answer cannot
    make PostgreSQL refuse the batch it travels in.
    """
    monitor, origin, result = beat.monitor, beat.origin, beat.result
    row: dict[str, Any] = {
        "monitor_id": monitor.id,
        "monitor_name": storable(monitor.name, 100),
        "datacenter_id": origin.datacenter_id,
        "agent_id": origin.agent_id,
        "term": origin.term,
        "holder": origin.holder,
        "scheduled_at": beat.scheduled_at.isoformat(),
        "executed_at": beat.executed_at.isoformat(),
        "attempts": beat.attempts,
        "status": beat.status.value,
        "success": success(beat.status),
        "response_time_ms": _ms(result.total_ms),
        "time_to_first_byte_ms": _ms(result.ttfb_ms),
        "resolved_ip": _short(result.resolved_ip),
        "warning_threshold_ms": monitor.thresholds.warning_ms,
        "critical_threshold_ms": monitor.thresholds.critical_ms,
    }
    row |= _phases(result.phases)
    if result.failure is not None:
        row["error_type"] = result.failure.type.value
        row["error_message"] = one_line(result.failure.message, _MESSAGE)
        row["failed_phase"] = _failed_phase(result.failure.phase)
    row["details"] = details(result.phases, result.facts, beat.failed_attempts, beat.lag_ms)
    if result.exchange is not None:
        row |= _exchange(result.exchange)
        if monitor.keep_body:
            row |= {
                f"raw_{name}": value
                for name, value in _kept(result.exchange, monitor.redactor).items()
            }
    if beat.evidence is not None:
        row["evidence"] = _evidence(beat, beat.evidence)
    present = {key: value for key, value in row.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _phases(phases: Phases) -> dict[str, Any]:
    return {
        "redirect_ms": _ms(phases.redirect),
        "dns_lookup_ms": _ms(phases.dns),
        "tcp_connect_ms": _ms(phases.connect),
        "tls_handshake_ms": _ms(phases.tls),
        "send_ms": _ms(phases.send),
        "wait_ms": _ms(phases.wait),
        "transfer_ms": _ms(phases.transfer),
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "response_status_code": exchange.status_code,
        "response_size_bytes": exchange.size_bytes,
        "response_content_type": _short(exchange.header("content-type")),
        "response_server": _short(exchange.header("server")),
        "response_cache_status": _short(
            exchange.header("x-cache") or exchange.header("cf-cache-status")
        ),
        "http_version": _short(exchange.http_version),
    }


def _kept(exchange: Exchange, redactor: Redactor) -> dict[str, Any]:
    """Headers and body: 4 KiB of headers each way, 16 KiB of body."""
    row: dict[str, Any] = {
        "request_headers": storable_headers(exchange.request_headers),
        "response_headers": storable_headers(exchange.response_headers),
    }
    if exchange.body_start:
        body = storable_body(exchange.body_start, truncated=exchange.body_truncated)
        # Once more, for what was escaped twice before it was parsed.
        row["response_body"] = redactor.value(body)
    return row


def _evidence(beat: Heartbeat, reason: EvidenceReason) -> dict[str, Any]:
    """What is kept beside the row, and not in it as well."""
    result = beat.result
    addresses = result.addresses or tuple(filter(None, (result.resolved_ip,)))
    row: dict[str, Any] = {
        "reason": reason.value,
        "addresses": [storable(address, 100) for address in addresses[:_MOST_ADDRESSES]],
    }
    if result.exchange is not None and not beat.monitor.keep_body:
        row |= _kept(result.exchange, beat.monitor.redactor)
    if result.certificate and "certificate" not in result.facts:
        row["certificate"] = storable_json(result.certificate)
    return {key: value for key, value in row.items() if value not in ({}, [])}


def _failed_phase(phase: str | None) -> str | None:
    return storable(str(phase), _PHASE) if phase else None


def _short(value: str | None) -> str | None:
    return None if value is None else storable(value, _SHORT)


def _ms(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)
