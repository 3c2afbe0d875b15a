"""What was one request of a check, and what do all of them make together? Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from uptimeo.probes.base import Exchange, Failure, Phase, Phases, ProbeResult
from uptimeo.probes.curl import Request, Transfer
from uptimeo.probes.curl.marks import Measured, measure
from uptimeo.probes.http.urls import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One request and its answer; without a transfer, its host was not found or not allowed."""

    request: Request
    transfer: Transfer | None
    measured: Measured

    @property
    def ip(self) -> str | None:
        """The address that was connected to, or else tried last."""
        if self.transfer is None:
            return None
        return self.transfer.ip or _last_tried(self.transfer)

    def as_facts(self) -> dict[str, Any]:
        """One element of the fact `hops`."""
        phases = self.measured.phases
        return {
            "url": shown(self.request.url),
            "status": self.transfer.status_code if self.transfer else None,
            "ip": self.ip,
            "total_ms": self.measured.total_ms,
            "phases": {str(name): ms for name, ms in (*phases.measured(), *phases.own.items())},
        }


def sent(request: Request, transfer: Transfer) -> Hop:
    """What libcurl measured, with the lookup before it; its own lookup finds ours in memory."""
    measured = measure(transfer.marks, tls=request.is_tls, literal=True)
    lookup_ms = request.route.lookup_ms
    if lookup_ms is not None:
        ttfb = measured.ttfb_ms
        measured = Measured(
            phases=replace(measured.phases, dns=lookup_ms),
            reached=measured.reached,
            ttfb_ms=None if ttfb is None else ttfb + lookup_ms,
            total_ms=measured.total_ms + lookup_ms,
        )
    return Hop(request=request, transfer=transfer, measured=measured)


def unsent(request: Request, phases: Phases, failure: Failure) -> Hop:
    """A request that could not be sent, after the phases of its lookup."""
    reached = failure.phase or Phase.DNS
    if reached is Phase.CONNECT:
        phases = replace(phases, connect=0.0)
    elif phases.dns is None:
        phases = replace(phases, dns=0.0)
    measured = Measured(phases=phases, reached=reached, ttfb_ms=None, total_ms=phases.total())
    return Hop(request=request, transfer=None, measured=measured)


def result_of(
    hops: Sequence[Hop], failure: Failure | None, facts: Mapping[str, Any] = MappingProxyType({})
) -> ProbeResult:
    """The result of a check: the phases of its last hop, and `redirect` for the others."""
    last, earlier = hops[-1], hops[:-1]
    before_ms = sum(hop.measured.total_ms for hop in earlier)
    measured, transfer = last.measured, last.transfer
    return ProbeResult(
        total_ms=before_ms + measured.total_ms,
        phases=replace(measured.phases, redirect=before_ms if earlier else None),
        ttfb_ms=None if measured.ttfb_ms is None else before_ms + measured.ttfb_ms,
        resolved_ip=last.ip,
        addresses=tuple(each for hop in hops if hop.transfer for each in hop.transfer.tried),
        failure=failure,
        exchange=_exchange(last.request, transfer),
        facts=({"hops": [hop.as_facts() for hop in hops]} if earlier else {}) | dict(facts),
    )


def _exchange(request: Request, transfer: Transfer | None) -> Exchange:
    if transfer is None:
        return Exchange(request_headers=request.all_headers)
    kept = transfer.body_start[:16_384]
    return Exchange(
        request_headers=request.all_headers,
        response_headers=transfer.headers,
        status_code=transfer.status_code,
        http_version=transfer.http_version,
        size_bytes=transfer.body_bytes if transfer.status_code else None,
        body_start=kept,
        body_truncated=transfer.body_bytes > len(kept),
    )


def _last_tried(transfer: Transfer) -> str | None:
    if not transfer.tried:
        return None
    return transfer.tried[-1].rpartition(":")[0].strip("[]").partition("%")[0]
