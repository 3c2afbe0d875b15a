"""What did a probe see?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_OWN_PHASE = re.compile(r"[a-z][a-z0-9_]{0,9}")
# Keys of `api_heartbeats.details` that are not the probe's to give.
RESERVED_FACTS = frozenset({"phases", "failed_attempts", "lag_ms", "truncated"})


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


_FIXED = frozenset(phase.value for phase in Phase)


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
    TLS_SELF_SIGNED = "tls_self_signed_certificate"
    TLS_PURPOSE = "tls_wrong_purpose"
    TLS_NOT_YET_VALID = "tls_certificate_not_yet_valid"
    TLS_REVOKED = "tls_certificate_revoked"
    TLS_WEAK = "tls_weak_certificate"
    TLS_CLIENT_CERTIFICATE = "tls_client_certificate_refused"
    TLS_VERSION = "tls_version_refused"
    TLS = "tls_error"
    STARTTLS = "starttls_refused"
    PROXY = "proxy_error"
    SEND_TIMEOUT = "send_timeout"
    SEND = "send_error"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    TRANSFER_TIMEOUT = "transfer_timeout"
    CONNECTION_RESET = "connection_reset"
    EMPTY_RESPONSE = "empty_response"
    PROTOCOL = "protocol_error"
    HEADERS_TOO_LARGE = "headers_too_large"
    BODY_TOO_LARGE = "body_too_large"
    DECOMPRESSION = "decompression_limit"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REDIRECT_REFUSED = "redirect_refused"
    HTTP_STATUS = "http_status"
    HTTP_VERSION = "http_version"
    ASSERTION = "assertion_failed"
    UNEXPECTED = "unexpected_answer"
    AUTHENTICATION = "authentication_failed"
    TOKEN = "token_error"  # noqa: S105 - a word, no secret
    DNS_RCODE = "dns_rcode"
    NO_REPLY = "no_reply"
    PACKET_LOSS = "packet_loss"
    PACKET_TOO_BIG = "packet_too_big"
    TTL_EXCEEDED = "ttl_exceeded"
    NOT_SERVING = "not_serving"
    QUERY = "query_failed"
    PUSH_MISSING = "push_missing"
    PUSH_FAILED = "push_failed"
    EXIT_STATUS = "exit_status"
    TIMEOUT = "timeout"
    ADDRESS_FORBIDDEN = "address_forbidden"

    INTERNAL = "internal_error"
    RESOURCES = "agent_out_of_resources"
    PERMISSION = "agent_lacks_permission"
    UNSUPPORTED = "agent_lacks_support"
    MISCONFIGURED = "agent_misconfigured"
    UNHEARD = "signals_unheard"
    EXIT_UNKNOWN = "exit_status_unknown"
    STUCK = "probe_stuck"
    STALLED = "agent_stalled"
    STOPPED = "agent_stopped"
    ISOLATED = "isolated"
    SKIPPED_OVERRUN = "skipped_overrun"
    SKIPPED_OVERLOAD = "skipped_overload"
    SKIPPED_HOST = "skipped_host_limit"
    SKIPPED_STALL = "skipped_stall"
    SKIPPED_LEASE = "skipped_lease"


OUR_FAULTS = frozenset(
    {
        ErrorType.INTERNAL,
        ErrorType.RESOURCES,
        ErrorType.PERMISSION,
        ErrorType.UNSUPPORTED,
        ErrorType.MISCONFIGURED,
        ErrorType.UNHEARD,
        ErrorType.EXIT_UNKNOWN,
        ErrorType.STUCK,
        ErrorType.STALLED,
        ErrorType.STOPPED,
        ErrorType.ISOLATED,
        ErrorType.SKIPPED_OVERRUN,
        ErrorType.SKIPPED_OVERLOAD,
        ErrorType.SKIPPED_HOST,
        ErrorType.SKIPPED_STALL,
        ErrorType.SKIPPED_LEASE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a check did not succeed; `message` is for a person and names the address.

    `phase` is one of `Phase`, or the name of one of the probe's own.
    """

    type: ErrorType
    message: str
    phase: Phase | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How long each stage took, in ms with microsecond resolution. None: not reached.

    A phase that was reached and failed holds the time until the failure. `redirect` is the
    whole of the earlier hops; the others describe the last one. `own` are the probe's own, by
    names of one to ten small letters, digits and `_`; ValueError for another.
    """

    redirect: float | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    transfer: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.own:
            if not _OWN_PHASE.fullmatch(name) or name in _FIXED:
                raise ValueError(
                    f"{name!r} cannot name a phase of one's own: it takes one to ten of a-z, 0-9"
                    f" and _, begins with a letter, and is none of {', '.join(Phase)}"
                )

    @classmethod
    def of(cls, spent: Mapping[str, float]) -> "Phases":
        """From ms by name: the fixed phases by their names, and every other one as the probe's."""
        fixed: dict[str, Any] = {name: ms for name, ms in spent.items() if name in _FIXED}
        return cls(**fixed, own={name: ms for name, ms in spent.items() if name not in _FIXED})

    def total(self) -> float:
        """The sum of what was measured, in ms."""
        return sum(value for _, value in self.measured()) + sum(self.own.values())

    def measured(self) -> list[tuple[Phase, float]]:
        """The fixed phases that happened, in order; `own` is not among them."""
        pairs = ((phase, getattr(self, phase.value)) for phase in Phase)
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

    `ttfb_ms` runs from the start of the check to the first byte of the last hop. `facts` is what
    else is worth keeping, as JSON by name: a certificate, packets lost, assertions. What is stored
    of it is bounded. `degraded` says that the target is up, but told itself that it is not well.
    `addresses` were tried, in that order; `certificate` is what TLS agreed on, also when it is no
    news and so not among the facts: both are for the evidence.
    ValueError for a name that the agent uses itself (`RESERVED_FACTS`).
    """

    total_ms: float | None
    phases: Phases = Phases()
    ttfb_ms: float | None = None
    resolved_ip: str | None = None
    exchange: Exchange | None = None
    failure: Failure | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    degraded: bool = False
    addresses: tuple[str, ...] = ()
    certificate: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if taken := sorted(RESERVED_FACTS & self.facts.keys()):
            raise ValueError(
                f"a fact cannot be named {taken[0]!r}: the agent uses that name itself"
            )

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
