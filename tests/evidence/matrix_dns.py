"""Rows of the matrix: unbound for DNS, over UDP, TCP and TLS."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.evidence.matrix_rows import TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, find
from uptimeo.domain.result import ErrorType

_SERIAL = 2024
_CONFIG = """
server:
    interface: {host}@{dns}
    interface: {host}@{dot}
    port: {dns}
    tls-port: {dot}
    tls-service-key: "{key}"
    tls-service-pem: "{chain}"
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{directory}"
    pidfile: ""
    use-syslog: no
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
    access-control: 127.0.0.0/8 allow
    local-zone: "refused.example." always_refuse
    local-zone: "gone.example." always_nxdomain
forward-zone:
    name: "silent.example."
    forward-addr: {host}@{silent}
forward-zone:
    name: "broken.example."
    forward-addr: {host}@{refusing}
    forward-tcp-upstream: yes
auth-zone:
    name: "zone.example."
    zonefile: "{zone}"
    for-downstream: yes
    for-upstream: yes
remote-control:
    control-enable: no
"""
_ZONE = """$ORIGIN zone.example.
$TTL 60
@ SOA ns admin {serial} 3600 600 86400 60
@ NS ns
@ MX 10 mail
@ MX 20 backup.elsewhere.example.
@ CAA 0 issue "ca.example"
ns A 192.0.2.53
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
_https._tcp SRV 1 2 443 www
text TXT "v=spf1 -all" "second string"
"""
_LARGE = 40  # texts of 200 bytes: more than fit into a datagram of 1232
_MANY = 250  # records: more than a check reads


@contextmanager
def _unbound(program: str, place: Place) -> Iterator[None]:
    """Two of them: the one called `older` has an older version of the zone."""
    with socket.socket(type=socket.SOCK_DGRAM) as silent, socket.socket() as refusing:
        for held in (silent, refusing):
            held.bind((HOST, 0))
        kept = {"silent": silent.getsockname()[1], "refusing": refusing.getsockname()[1]}
        newer = _configured(place, "", _SERIAL, kept)
        older = _configured(place, "older", _SERIAL - 1, kept)
        with (
            place.running([program, "-d", "-c", newer], "dns", "dot"),
            place.running([program, "-d", "-c", older], "olderdns", "olderdot"),
        ):
            yield


def _configured(place: Place, prefix: str, serial: int, kept: dict[str, int]) -> str:
    bulk = [f'large TXT "{number:03}{"x" * 197}"\n' for number in range(_LARGE)]
    bulk += [f"many A 10.0.0.{number + 1}\n" for number in range(_MANY)]
    zone = place.write(f"{prefix}zone", _ZONE.format(serial=serial) + "".join(bulk))
    config = _CONFIG.format(
        host=HOST,
        dns=place.port(f"{prefix}dns"),
        dot=place.port(f"{prefix}dot"),
        key=place.key(),
        chain=place.chain(),
        directory=place.directory,
        zone=zone,
        **kept,
    )
    return str(place.write(f"{prefix}unbound.conf", config))


def _asked(says: str, query: str, error: ErrorType | None = None, **options: object) -> Expected:
    return Expected(says=says, url=f"dns://{HOST}:{{dns}}/{query}", options=options, error=error)


def _over_tls(says: str, error: ErrorType | None = None, **options: object) -> Expected:
    given = {"transport": "tls", "answers": _BOTH, **options}
    url = "dns://localhost:{dot}/www.zone.example"
    return Expected(says=says, url=url, options=given, error=error)


_BOTH = ("192.0.2.1", "192.0.2.2")
_WWW, _SOA = "www.zone.example", "zone.example?type=SOA"
_OTHER = ErrorType.UNEXPECTED
_MAILS = ("10 mail.zone.example", "20 backup.elsewhere.example")
_ROWS = (
    _asked("A", _WWW, answers=_BOTH),
    _asked("AAAA", f"{_WWW}?type=AAAA", answers=("2001:db8:0::1",)),
    _asked("CNAME followed", "alias.zone.example", answers=_BOTH),
    _asked("CNAME itself", "alias.zone.example?type=CNAME", answers=("WWW.zone.example",)),
    _asked("MX", "zone.example?type=MX", answers=_MAILS),
    _asked("TXT", "text.zone.example?type=TXT", answers=('"v=spf1 -all" "second string"',)),
    _asked("SRV", "_https._tcp.zone.example?type=SRV", answers=("1 2 443 www.zone.example",)),
    _asked("CAA", "zone.example?type=CAA", answers=('0 issue "ca.example"',)),
    _asked("NS, by a pattern", "zone.example?type=NS", matches=r"^ns\.zone\.example\.$"),
    _asked("authoritative", _WWW, authoritative=True),
    _asked("not verified", _WWW, _OTHER, authenticated=True),
    _asked("another answer", _WWW, _OTHER, answers=("192.0.2.1",)),
    _asked("among the answers", _WWW, answers=("192.0.2.1",), match="includes"),
    _asked("a forbidden answer", _WWW, _OTHER, forbidden=("192.0.2.2",)),
    _asked("no such record", f"{_WWW}?type=MX", _OTHER),
    _asked("no such record, as expected", f"{_WWW}?type=MX", min_answers=0),
    _asked("NXDOMAIN", "gone.example", ErrorType.DNS_RCODE),
    _asked("NXDOMAIN, as expected", "nope.zone.example", rcodes=("NXDOMAIN",)),
    _asked("REFUSED", "refused.example", ErrorType.DNS_RCODE),
    _asked("SERVFAIL", "broken.example", ErrorType.DNS_RCODE),
    _asked("silence", "silent.example", ErrorType.NO_REPLY),
    _asked("silence, TCP", "silent.example", ErrorType.FIRST_BYTE_TIMEOUT, transport="tcp"),
    _asked("cut short, then TCP", "large.zone.example?type=TXT", min_answers=_LARGE),
    _asked("more than is read", "many.zone.example", ErrorType.BODY_TOO_LARGE),
    _asked("TCP", _WWW, transport="tcp", answers=_BOTH),
    _asked("a serial", _SOA, min_serial=_SERIAL),
    _asked("a serial that is too old", _SOA, _OTHER, min_serial=_SERIAL + 1),
    _asked("the same serial elsewhere", _SOA, same_serial_at=("<server dns>",)),
    _asked("an older serial elsewhere", _SOA, _OTHER, same_serial_at=("<server olderdns>",)),
    _over_tls("TLS", **TRUSTING),
    _over_tls("TLS, a certificate that is not trusted", ErrorType.TLS_UNTRUSTED),
    _over_tls(
        "TLS, a certificate of another name",
        ErrorType.TLS_HOSTNAME,
        tls={**TRUSTING["tls"], "server_name": "dns.example"},
    ),
)

PROGRAMS = (
    Program(
        name="unbound",
        package="unbound",
        find=lambda: find("unbound"),
        start=_unbound,
        checks=_ROWS,
    ),
)
