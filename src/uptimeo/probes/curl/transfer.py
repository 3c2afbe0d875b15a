"""What is asked of libcurl, and what came of it? Pure: the words between us and pycurl."""

from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import unquote, urlsplit

from uptimeo.probes.curl.marks import Marks
from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.network.tls import TlsOptions

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class Fault(Enum):
    """How a transfer failed, in fewer words than libcurl's ninety codes."""

    URL = auto()
    RESOLVE = auto()
    CONNECT = auto()
    PROXY = auto()
    TIMEOUT = auto()
    TLS = auto()
    CERTIFICATE_HOSTNAME = auto()
    CERTIFICATE = auto()
    SEND = auto()
    RECEIVE = auto()
    EMPTY = auto()
    PROTOCOL = auto()
    ENCODING = auto()
    ENCODED_OTHERWISE = auto()
    EXPANDED = auto()
    TOO_WIDE = auto()
    BODY_TOO_LARGE = auto()
    CRUMBS = auto()
    FLOOD = auto()
    HEADERS_TOO_LARGE = auto()
    FORBIDDEN = auto()
    SOURCE = auto()
    OURS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Through whom the request goes: an http, https, socks5 or socks5h URL without credentials.

    With socks5 the target's addresses are looked up here, with all others by the proxy.
    """

    url: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_pem: str | None = None

    @property
    def scheme(self) -> str:
        """How the proxy is spoken to."""
        return urlsplit(self.url).scheme

    @property
    def is_socks(self) -> bool:
        """Whether it is no HTTP proxy."""
        return self.scheme.startswith("socks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request's connection goes, found by a lookup that took `lookup_ms`.

    `connect_to` replaces host and port of the URL. `addresses` are those of names, by host and
    port; a host that is an address itself has none. `lookup_ms` is None if nothing was looked up.
    """

    dialled: str
    connect_to: tuple[str, int] | None = None
    addresses: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    lookup_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request on a connection of its own. No redirect is followed here.

    `timeout_ms` is what is left of `budget_ms`, the time for the whole check. `cookies` are lines
    in Netscape's format; None sends and keeps none. `guard` is asked of each address before it is
    connected to. Of the body the first `keep_body_bytes` are returned. `encodings` are asked for,
    and no others are decompressed.
    """

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_ms: float
    budget_ms: int
    max_body_bytes: int
    keep_body_bytes: int
    guard: AddressGuard
    route: Route
    tls: TlsOptions
    http_version: str | None = None
    encodings: tuple[str, ...] = ()
    cookies: tuple[bytes, ...] | None = None
    proxy: Proxy | None = None
    source: str | None = None
    authorization: str | None = field(default=None, repr=False)

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers, with the authorization among them."""
        given = () if self.authorization is None else (("Authorization", self.authorization),)
        return self.headers + given

    @property
    def most_wire_bytes(self) -> int:
        """More than that no answer needs, with its headers, its frames, and its encryption."""
        return 2 * self.max_body_bytes + 1_048_576

    @property
    def tunnels(self) -> bool:
        """Whether a proxy connects us to the target before the request is sent."""
        if self.proxy is None:
            return False
        return self.proxy.is_socks or self.is_tls or self.route.connect_to is not None

    @property
    def is_tls(self) -> bool:
        """Whether the target is spoken to over TLS."""
        return urlsplit(self.url).scheme == "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferError:
    """Why a transfer failed: our word for it, libcurl's text, and the last errno (0: none).

    `verify_code` is OpenSSL's X509_V_ERR_* of a refused certificate.
    """

    fault: Fault
    text: str
    errno: int = 0
    verify_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What the TLS handshake with the target showed; `presented` is in DER, leaf first."""

    protocol: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    presented: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One finished transfer, failed or not. `tried` are the addresses in order of attempt.

    `body_bytes` is the size after decompression, `wire_bytes` before it.
    """

    marks: Marks
    error: TransferError | None
    status_code: int | None
    http_version: str | None
    ip: str | None
    tried: tuple[str, ...]
    redirect_url: str | None
    headers: tuple[tuple[str, str], ...]
    body_bytes: int
    wire_bytes: int
    body_start: bytes
    handshake: Handshake
    cookies: tuple[bytes, ...] = ()

    def header_values(self, name: str) -> list[str]:
        """The values of the headers with that lower-case name."""
        return [value for key, value in self.headers if key.lower() == name]


def host_and_port(url: str) -> tuple[str, int]:
    """Whom that URL names, with the scheme's port if it names none."""
    parts = urlsplit(url)
    host = unquote(parts.hostname or "", errors="replace")
    return host, parts.port or _PORTS[parts.scheme]
