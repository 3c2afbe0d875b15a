"""What does a check of a DNS server say of one that nobody here wrote? An unbound of Debian.

Prints each case with what was expected and what came; exits with 1 if one differs.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.unbound import HOST, Unbound, is_installed, unbound
from uptimeo.probes.base import ErrorType, ProbeContext, ProbeResult, TlsOptions
from uptimeo.probes.dns import DnsProbe
from uptimeo.probes.dns_options import DnsOptions

_TIMEOUT_MS = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """A check, and the error it should end with; None for a success."""

    what: str
    query: str
    expected: ErrorType | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case and what came of it."""

    what: str
    expected: str
    got: str
    message: str

    @property
    def ok(self) -> bool:
        """Whether it came as expected."""
        return self.expected == self.got


_UNEXPECTED = ErrorType.UNEXPECTED
_BOTH = ("192.0.2.1", "192.0.2.2")
_CASES = (
    Case("A", "www.zone.example", options={"answers": _BOTH}),
    Case("AAAA", "www.zone.example?type=AAAA", options={"answers": ("2001:db8:0::1",)}),
    Case("CNAME followed", "alias.zone.example", options={"answers": _BOTH}),
    Case(
        "CNAME itself",
        "alias.zone.example?type=CNAME",
        options={"answers": ("WWW.zone.example.",)},
    ),
    Case(
        "MX",
        "zone.example?type=MX",
        options={"answers": ("10 mail.zone.example", "20 backup.elsewhere.example")},
    ),
    Case(
        "TXT",
        "text.zone.example?type=TXT",
        options={"answers": ('"v=spf1 -all" "second string"',)},
    ),
    Case(
        "SRV",
        "_https._tcp.zone.example?type=SRV",
        options={"answers": ("1 2 443 www.zone.example",)},
    ),
    Case("CAA", "zone.example?type=CAA", options={"answers": ('0 issue "ca.example"',)}),
    Case("NS", "zone.example?type=NS", options={"matches": r"^ns\.zone\.example\.$"}),
    Case("authoritative", "www.zone.example", options={"authoritative": True}),
    Case("not verified", "www.zone.example", _UNEXPECTED, {"authenticated": True}),
    Case("SOA serial", "zone.example?type=SOA", options={"min_serial": 2024}),
    Case("SOA serial too old", "zone.example?type=SOA", _UNEXPECTED, {"min_serial": 2025}),
    Case("another answer", "www.zone.example", _UNEXPECTED, {"answers": ("192.0.2.1",)}),
    Case("one of the answers", "www.zone.example", None, {"answers": _BOTH, "match": "includes"}),
    Case("forbidden answer", "www.zone.example", _UNEXPECTED, {"forbidden": ("192.0.2.2",)}),
    Case("no such record", "www.zone.example?type=MX", _UNEXPECTED),
    Case("no such record, wanted", "www.zone.example?type=MX", None, {"min_answers": 0}),
    Case("NXDOMAIN", "gone.example", ErrorType.DNS_RCODE),
    Case("NXDOMAIN wanted", "nope.zone.example", None, {"rcodes": ("NXDOMAIN",)}),
    Case("REFUSED", "refused.example", ErrorType.DNS_RCODE),
    Case("SERVFAIL", "broken.example", ErrorType.DNS_RCODE),
    Case("silence", "silent.example", ErrorType.NO_REPLY),
    Case(
        "no answer in time, TCP",
        "silent.example",
        ErrorType.FIRST_BYTE_TIMEOUT,
        {"transport": "tcp"},
    ),
    Case("cut short, then TCP", "large.zone.example?type=TXT", None, {"min_answers": 40}),
    Case("more than is read", "many.zone.example", ErrorType.BODY_TOO_LARGE),
    Case("TCP", "www.zone.example", None, {"transport": "tcp", "answers": _BOTH}),
)


async def rows(server: Unbound, older: Unbound) -> list[Row]:
    """What came of each case; `older` has the zone with an older serial."""
    found = [await _run(case, server.port) for case in _CASES]
    tls = TlsOptions(ca_pem=server.ca_pem)
    over_tls = {"transport": "tls", "tls": tls}
    query = "www.zone.example"
    found.append(await _run(Case("TLS", query, None, over_tls), server.tls_port))
    named = {"transport": "tls", "tls": tls.model_copy(update={"server_name": "dns.example"})}
    wrong = Case("TLS, another name", query, ErrorType.TLS_HOSTNAME, named)
    found.append(await _run(wrong, server.tls_port))
    unknown = Case("TLS, unknown CA", query, ErrorType.TLS_UNTRUSTED, {"transport": "tls"})
    found.append(await _run(unknown, server.tls_port))
    for what, other, expected in (("same", server, None), ("older", older, _UNEXPECTED)):
        given = {"same_serial_at": (f"{HOST}:{other.port}",)}
        case = Case(f"{what} serial elsewhere", "zone.example?type=SOA", expected, given)
        found.append(await _run(case, server.port))
    return found


async def _run(case: Case, port: int) -> Row:
    url = f"dns://{HOST}:{port}/{case.query}"
    options = DnsOptions.model_validate({"url": url, **case.options})
    result = await DnsProbe().probe(options, ProbeContext(timeout_ms=_TIMEOUT_MS))
    return Row(
        what=case.what,
        expected=_word(case.expected),
        got=_word(result.failure.type if result.failure else None),
        message=_why(result),
    )


def _why(result: ProbeResult) -> str:
    return result.failure.message if result.failure else ", ".join(result.facts.get("answers", ()))


def _word(error: ErrorType | None) -> str:
    return "up" if error is None else error.value


def main() -> int:
    """Run every case; the exit code is the verdict."""
    if not is_installed():
        print("skipped: unbound is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="uptimeo-unbound-") as name:
        places = [Path(name, part) for part in ("newer", "older")]
        for place in places:
            place.mkdir()
        with unbound(places[0]) as server, unbound(places[1], serial=2023) as older:
            found = asyncio.run(rows(server, older))
    for row in found:
        mark = "ok" if row.ok else "BAD"
        print(f"{mark:>3}  {row.what:<26} {row.expected:<25} {row.got:<25} {row.message[:120]}")
    bad = sum(not row.ok for row in found)
    print(f"\n{len(found)} cases, {bad} of them not as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
