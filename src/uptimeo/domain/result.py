"""What did a probe see?"""

from dataclasses import dataclass, fields
from enum import StrEnum


class Outcome(StrEnum):
    """The probe's own judgement, before thresholds. UNKNOWN is our fault, never the target's."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """The stages of a check in the order in which they happen."""

    REDIRECT = "redirect"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    SEND = "send"
    WAIT = "wait"
    TRANSFER = "transfer"


class ErrorType(StrEnum):
    """The closed list of `api_heartbeats.error_type`."""

    DNS = "dns_error"
    DNS_TIMEOUT = "dns_timeout"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT = "connect_error"
    TLS_TIMEOUT = "tls_timeout"
    TLS_EXPIRED = "tls_certificate_expired"
    TLS_HOSTNAME = "tls_hostname_mismatch"
    TLS_UNTRUSTED = "tls_untrusted_certificate"
    TLS = "tls_error"
    SEND_TIMEOUT = "send_timeout"
    SEND = "send_error"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    TRANSFER_TIMEOUT = "transfer_timeout"
    CONNECTION_RESET = "connection_reset"
    EMPTY_RESPONSE = "empty_response"
    PROTOCOL = "protocol_error"
    HEADERS_TOO_LARGE = "headers_too_large"
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REDIRECT_REFUSED = "redirect_refused"
    HTTP_STATUS = "http_status"

    INTERNAL = "internal_error"
    RESOURCES = "agent_out_of_resources"
    STUCK = "probe_stuck"
    STOPPED = "agent_stopped"
    ISOLATED = "isolated"
    SKIPPED_OVERRUN = "skipped_overrun"
    SKIPPED_OVERLOAD = "skipped_overload"
    SKIPPED_STALL = "skipped_stall"
    SKIPPED_LEASE = "skipped_lease"


OUR_FAULTS = frozenset(
    {
        ErrorType.INTERNAL,
        ErrorType.RESOURCES,
        ErrorType.STUCK,
        ErrorType.STOPPED,
        ErrorType.ISOLATED,
        ErrorType.SKIPPED_OVERRUN,
        ErrorType.SKIPPED_OVERLOAD,
        ErrorType.SKIPPED_STALL,
        ErrorType.SKIPPED_LEASE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a check did not succeed; `message` is for a person and names the address."""

    type: ErrorType
    message: str
    phase: Phase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How long each stage took, in ms with microsecond resolution. None: not reached.

    A phase that was reached and failed holds the time until the failure. `redirect` is the
    whole of the earlier hops; the others describe the last one.
    """

    redirect: float | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    transfer: float | None = None

    def total(self) -> float:
        """The sum of what was measured, in ms."""
        return sum(value for _, value in self.measured())

    def measured(self) -> list[tuple[Phase, float]]:
        """The phases that happened, in order."""
        pairs = ((Phase(f.name), getattr(self, f.name)) for f in fields(self))
        return [(phase, value) for phase, value in pairs if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was sent and what came back in the last hop. Header values are as they were read."""

    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()
    status_code: int | None = None
    http_version: str | None = None
    size_bytes: int | None = None
    body_start: bytes = b""
    body_truncated: bool = False

    def header(self, name: str) -> str | None:
        """The last response header of that (lower-case) name."""
        found = [value for key, value in self.response_headers if key.lower() == name]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What one probe returned. `total_ms` is the target's time: our own waits are not in it.

    `ttfb_ms` runs from the start of the check to the first byte of the last hop.
    """

    total_ms: float | None
    phases: Phases = Phases()
    ttfb_ms: float | None = None
    resolved_ip: str | None = None
    exchange: Exchange | None = None
    failure: Failure | None = None

    @property
    def outcome(self) -> Outcome:
        """Up without a failure; unknown if the failure is our own; down otherwise."""
        if self.failure is None:
            return Outcome.UP
        return Outcome.UNKNOWN if self.failure.type in OUR_FAULTS else Outcome.DOWN

    @property
    def other_ms(self) -> float | None:
        """The part of the total that belongs to no phase; with the phases it makes the total."""
        return None if self.total_ms is None else max(0.0, self.total_ms - self.phases.total())


def our_fault(error: ErrorType, message: str) -> ProbeResult:
    """The result of a check that says nothing about its target."""
    return ProbeResult(total_ms=None, failure=Failure(type=error, message=message))
