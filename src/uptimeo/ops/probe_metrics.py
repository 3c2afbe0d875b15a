"""What does a heartbeat say in the words of blackbox_exporter, and in ours? Pure.

Names and meanings are those of its probers, so that dashboards and rules for it work here.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.result import ErrorType, Phase, Phases, ProbeResult
from uptimeo.domain.verdict import Status, success
from uptimeo.ops.series import Family

_HTTP = frozenset({"http", "https"})
_ICMP = frozenset({"icmp", "ping"})
_DNS = frozenset({"dns"})
# blackbox_exporter's phase, and which of ours it is the sum of.
_HTTP_PHASES = {
    "resolve": ("dns",),
    "connect": ("connect",),
    "tls": ("tls",),
    "processing": ("send", "wait"),
    "transfer": ("transfer",),
}
_ICMP_PHASES = {"resolve": ("dns",), "rtt": ("wait",)}
_DNS_PHASES = {
    "resolve": ("dns",),
    "connect": ("connect", "tls"),
    "request": ("send", "wait", "transfer"),
}

STATUS = Family(
    "uptimeo_monitor_status",
    "1 for the status of the last check, 0 for the others",
    "status",
    tuple(Status),
)
CHECKED = Family(
    "uptimeo_monitor_last_check_timestamp_seconds",
    "When the last check ran, or would have run, in seconds since 1970",
)
PHASE = Family(
    "uptimeo_monitor_phase_seconds",
    "How long each phase of the last check took; redirect is the whole of the earlier hops",
    "phase",
    tuple(Phase),
)
SUCCESS = Family("probe_success", "1 if the last check succeeded, also slowly; 0 if it failed")
DURATION = Family("probe_duration_seconds", "How long the last check took the target")
LOOKUP = Family("probe_dns_lookup_time_seconds", "How long the lookup of the name took")
PROTOCOL = Family("probe_ip_protocol", "4 or 6: the kind of address that was used")
HTTP_PHASE = Family(
    "probe_http_duration_seconds",
    "How long each phase of an HTTP check took, over all redirects; 0 if it was not reached",
    "phase",
    tuple(_HTTP_PHASES),
)
HTTP_STATUS = Family("probe_http_status_code", "The status of the HTTP answer, 0 without one")
HTTP_VERSION = Family("probe_http_version", "The version of the HTTP answer, 0 without one")
HTTP_LENGTH = Family(
    "probe_http_content_length", "What Content-Length says, -1 if nothing, 0 without an answer"
)
HTTP_BODY = Family("probe_http_uncompressed_body_length", "Bytes of the body that were read")
HTTP_REDIRECTS = Family("probe_http_redirects", "How many redirects were followed")
HTTP_SSL = Family("probe_http_ssl", "1 if the last hop spoke TLS")
REGEX = Family(
    "probe_failed_due_to_regex",
    "1 if an HTTP check failed by an assertion on its answer, of any kind",
)
EXPIRY = Family(
    "probe_ssl_earliest_cert_expiry",
    "When the first certificate of the chain that was seen last expires, in seconds since 1970",
)
CHAIN_EXPIRY = Family(
    "probe_ssl_last_chain_expiry_timestamp_seconds",
    "The same, for a chain that was verified",
)
ICMP_PHASE = Family(
    "probe_icmp_duration_seconds",
    "How long the lookup and, on average, the replies of a ping took",
    "phase",
    tuple(_ICMP_PHASES),
)
DNS_PHASE = Family(
    "probe_dns_duration_seconds",
    "How long each phase of a DNS check took",
    "phase",
    tuple(_DNS_PHASES),
)

FAMILIES = (
    *(STATUS, CHECKED, PHASE, SUCCESS, DURATION, LOOKUP, PROTOCOL),
    *(HTTP_PHASE, HTTP_STATUS, HTTP_VERSION, HTTP_LENGTH, HTTP_BODY, HTTP_REDIRECTS, HTTP_SSL),
    *(REGEX, EXPIRY, CHAIN_EXPIRY, ICMP_PHASE, DNS_PHASE),
)


def values(beat: Heartbeat, expiries: Mapping[str, float]) -> dict[str, float]:
    """By the keys of families. `expiries` are those of the certificate that was seen last.

    Of a check that says nothing about its target there is the status alone. Raises TypeError for
    a result that has something else than numbers.
    """
    found: dict[str, float] = {STATUS.key(each): 0 for each in Status}
    found[STATUS.key(beat.status)] = 1
    found[CHECKED.key()] = beat.executed_at.timestamp()
    if (succeeded := success(beat.status)) is None:
        return found
    found |= {SUCCESS.key(): int(succeeded), **expiries}
    found |= dict(_of_any(beat.result))
    kind = beat.monitor.type
    if kind in _HTTP:
        found |= dict(_of_http(beat.result))
    elif kind in _ICMP:
        found |= dict(_phases(ICMP_PHASE, _ICMP_PHASES, _spent(beat.result.phases)))
    elif kind in _DNS:
        found |= dict(_phases(DNS_PHASE, _DNS_PHASES, _spent(beat.result.phases)))
    if odd := [key for key, value in found.items() if not isinstance(value, int | float)]:
        raise TypeError(f"{odd[0]} is no number")
    return found


def expiries(beat: Heartbeat, before: Mapping[str, float]) -> Mapping[str, float]:
    """When the certificate expires that this check saw; what is not news stays as it was before.

    A check that succeeded without TLS has none.
    """
    certificate = beat.result.facts.get("certificate")
    if isinstance(certificate, Mapping):
        leaf, chain = (_moment(certificate.get(f"{of}_expires")) for of in ("leaf", "chain"))
        known = [moment for moment in (leaf, chain) if moment is not None]
        found = {EXPIRY.key(): min(known)} if known else {}
        return found | ({} if chain is None else {CHAIN_EXPIRY.key(): chain})
    without = success(beat.status) and beat.result.phases.tls is None
    return {} if without else before


def _moment(text: Any) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _of_any(result: ProbeResult) -> Iterator[tuple[str, float]]:
    if result.total_ms is not None:
        yield DURATION.key(), result.total_ms / 1000
    for phase, ms in result.phases.measured():
        yield PHASE.key(phase), ms / 1000
    if result.phases.dns is not None:
        yield LOOKUP.key(), result.phases.dns / 1000
    if result.resolved_ip:
        yield PROTOCOL.key(), 6 if ":" in result.resolved_ip else 4


def _of_http(result: ProbeResult) -> Iterator[tuple[str, float]]:
    """With zeros for what there was not, as blackbox_exporter has it."""
    hops = result.facts.get("hops") or ()
    spent = [hop["phases"] for hop in hops] or [_spent(result.phases)]
    for name, ours in _HTTP_PHASES.items():
        yield HTTP_PHASE.key(name), sum(hop.get(each, 0.0) for hop in spent for each in ours) / 1000
    answer = result.exchange if result.exchange and result.exchange.status_code else None
    length = "0" if answer is None else answer.header("content-length") or ""
    yield HTTP_STATUS.key(), (answer and answer.status_code) or 0
    yield HTTP_VERSION.key(), float((answer and answer.http_version) or 0)
    yield HTTP_LENGTH.key(), int(length) if length.isdecimal() else -1
    yield HTTP_BODY.key(), (answer and answer.size_bytes) or 0
    yield HTTP_REDIRECTS.key(), sum(300 <= (hop["status"] or 0) < 400 for hop in hops[:-1])
    yield HTTP_SSL.key(), int(result.phases.tls is not None)
    failed = result.failure is not None and result.failure.type is ErrorType.ASSERTION
    yield REGEX.key(), int(failed)


def _spent(phases: Phases) -> dict[str, float]:
    return {phase.value: ms for phase, ms in phases.measured()}


def _phases(
    family: Family, of: Mapping[str, tuple[str, ...]], spent: Mapping[str, float]
) -> Iterator[tuple[str, float]]:
    """What was measured of them."""
    for name, ours in of.items():
        if known := [spent[each] for each in ours if each in spent]:
            yield family.key(name), sum(known) / 1000
