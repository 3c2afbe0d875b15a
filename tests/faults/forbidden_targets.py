"""How else can a forbidden address be named? Spellings, names, and what else leads a check there.

Every monitor here has to end without a connection to a forbidden address. `{port}` is where all
listeners are, `{public}` the one address that is not forbidden.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.forbidden_place import PUBLIC, PUBLIC6, REFUSING

SPELLINGS = (
    # This host, in every base and length that `inet_aton` takes.
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "127.000.000.001", "127.0.0.1."),
    *("0177.0.0.1", "0177.0.0.01", "00000177.1", "017700000001", "0177.0x0.0.1"),
    *("0x7f.0.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "0x7f000001", "0X7F000001", "0x000000007f000001"),
    *("2130706433", "2130706433.", "0.0.0.0", "0", "0x0", "00", "0."),
    # By name, in capitals, percent signs and other digits.
    *("localhost", "LOCALHOST", "localhost.", "LocalHost", "%6c%6fcalhost", "l%6Fcalhost"),
    *("127%2e0%2e0%2e1", "%31%32%37.0.0.1", "127.0.0.1%2e"),
    "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}\N{FULLWIDTH DIGIT SEVEN}.0.0.1",
    "127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}1",
    "127\N{FULLWIDTH FULL STOP}0\N{HALFWIDTH IDEOGRAPHIC FULL STOP}0.1",
    "\N{CIRCLED DIGIT ONE}\N{CIRCLED DIGIT TWO}\N{CIRCLED DIGIT SEVEN}.0.0.1",
    "\N{MATHEMATICAL BOLD DIGIT ONE}27.0.0.1",
    "\N{ARABIC-INDIC DIGIT ONE}27.0.0.1",
    "l\N{LATIN SMALL LETTER LONG S}ocalhost",
    "\N{FULLWIDTH LATIN SMALL LETTER L}ocalhost",
    "local\N{SOFT HYPHEN}host",
    # The metadata service.
    *("169.254.169.254", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe"),
    *("0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "025177524776", "169.254.169.254."),
    "169.254.169.25%34",
    "\N{CIRCLED NUMBER SIXTEEN}9.254.169.254",
    # IPv6, and the IPv4 addresses in it: mapped, compatible, translated, NAT64, 6to4, Teredo.
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::]", "[0000::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::FFFF:0:0]"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[::a9fe:a9fe]"),
    *("[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]"),
    "[2001:0:cb00:710a:0:ffff:80ff:fffe]",
    *("[fd00:ec2::254]", "[fd00:0ec2:0:0:0:0:0:0254]", "[FD00:EC2::254]", "[fd20:ce::254]"),
    *("[fe80::1]", "[::1%25lo]", "[fe80::1%25lo]", "[::ffff:127.0.0.1%25lo]"),
)
# Where a parser may take one part of the authority for the host, and another one another part.
CONFUSING = (
    f"http://{PUBLIC}@127.0.0.1:{{port}}/",
    f"http://{PUBLIC}:80@127.0.0.1:{{port}}/",
    f"http://{PUBLIC}%40127.0.0.1:{{port}}/",
    f"http://{PUBLIC}\\@127.0.0.1:{{port}}/",
    f"http://{PUBLIC};@127.0.0.1:{{port}}/",
    f"http://a@{PUBLIC}@127.0.0.1:{{port}}/",
    f"http://127.0.0.1:{{port}}\\@{PUBLIC}/",
    f"http://127.0.0.1:{{port}}#@{PUBLIC}:{{port}}/",
    f"http://127.0.0.1:{{port}}?@{PUBLIC}:{{port}}/",
    f"http://[::1]:{{port}}@{PUBLIC}:99/",
    f"http://{PUBLIC}[::1]:{{port}}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
)
# Names of the DNS server in `forbidden_place`.
NAMES = (
    *("rebinding.test", "mixed.test", "mixed6.test", "cname.test", "chain.test", "mapped.test"),
    *("nat64.test", "sixtofour.test", "metadata.test", "loop6.test", "zero.test", "unicode.test"),
)
# What a proxy must not be told. A name that rebinds may be another one when the proxy looks it up.
_JUDGED = tuple(name for name in NAMES if name != "rebinding.test")
_TOLD = ("127.0.0.1", "127.1", "0x7f000001", "2852039166", "localhost", "[::ffff:7f00:1]", *_JUDGED)
_TYPES = {
    "http": "http://{host}:{port}/",
    "https": "https://{host}:{port}/",
    "tcp": "tcp://{host}:{port}",
    "tls": "tls://{host}:{port}",
    "smtp": "smtp://{host}:{port}",
    "imap": "imap://{host}:{port}",
    "ping": "ping://{host}",
    "dns": "dns://{host}:{port}/public.test",
    "ws": "ws://{host}:{port}/",
    "grpc": "grpc://{host}:{port}",
    "sql": "postgresql://user@{host}:{port}/base",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A monitor that must not get where it leads."""

    type: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)


def attempts(port: int) -> Iterator[Attempt]:
    """All of them."""
    for type_, form in _TYPES.items():
        for host in (*SPELLINGS, *NAMES):
            yield Attempt(type_, form.format(host=host, port=port))
    for confusing in CONFUSING:
        yield Attempt("http", confusing.format(port=port))
    for number in range(len(SPELLINGS) + len(CONFUSING)):
        yield Attempt("http", f"http://{PUBLIC}:{port}/to/{number}")
    yield from _overrides(port)
    for host in _TOLD:
        for scheme in ("http", "https"):
            proxy = {"proxy": f"http://{PUBLIC}:{port}"}
            yield Attempt("http", f"{scheme}://{host}:{port}/", proxy)


def redirects(port: int) -> list[str]:
    """Where the public site redirects to, by number."""
    spelt = [f"//{host}:{port}/" for host in SPELLINGS]
    return [*spelt, *(confusing.format(port=port) for confusing in CONFUSING)]


def _overrides(port: int) -> Iterator[Attempt]:
    """What an option says instead of the URL."""
    public = f"http://{PUBLIC}:{port}/"
    for bad in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        shown = f"[{bad}]" if ":" in bad else bad
        for scheme in ("http", "https"):
            away = f"{scheme}://away.test:{port}/"
            yield Attempt("http", away, {"resolve": {"away.test": bad}})
            yield Attempt("http", away, {"resolve": {"away.test": [REFUSING, bad]}})
            yield Attempt("http", away, {"connect_to": {"away.test": f"{shown}:{port}"}})
        for proxy in ("http", "https", "socks5", "socks5h"):
            yield Attempt("http", public, {"proxy": f"{proxy}://{shown}:{port}"})
            yield Attempt("http", f"https://{PUBLIC}:{port}/", {"proxy": f"{proxy}://{shown}:99"})
        yield Attempt("dns", f"dns://{PUBLIC}/soa.test?type=SOA", {"same_serial_at": [shown]})
        auth = {"kind": "oauth2", "client_id": "a", "client_secret": "b"}
        token = {"auth": auth | {"token_url": f"http://{shown}:{port}/token"}}
        yield Attempt("http", f"http://{PUBLIC}:{port}/", token)
    for name in ("127.1", "2130706433", "0x7f.1", "localhost", "rebinding.test", "cname.test"):
        yield Attempt("http", public, {"connect_to": {PUBLIC: f"{name}:{port}"}})
        yield Attempt("http", public, {"proxy": f"http://{name}:{port}"})
        yield Attempt("http", f"http://{name}:{port}/", {"proxy": f"socks5://{PUBLIC}:1080"})
    for source in ("127.0.0.1", "::1"):
        host = f"[{source}]" if ":" in source else source
        yield Attempt("http", f"http://{host}:{port}/", {"source": source})
        yield Attempt("tcp", f"tcp://{host}:{port}", {"source": source})
        yield Attempt("dns", f"dns://{host}:{port}/public.test", {"source": source})
    yield Attempt("https", f"https://[{PUBLIC6}]:{port}/", {"connect_to": {PUBLIC6: "[::1]"}})
    named = {"tls": {"server_name": "rebinding.test"}}
    yield Attempt("https", f"https://127.1:{port}/", named)
