"""How is one HTTP request sent with libcurl? The only importer of pycurl."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pycurl

from uptimeo.domain.errors import FatalError
from uptimeo.probes.guard import AddressGuard
from uptimeo.probes.marks import Marks
from uptimeo.probes.tls import trusted_ca_file

_MAX_HEADER_BYTES = 65_536
_MAX_HEADER_LINES = 300
_KEPT_BODY_BYTES = 16_384
# OpenSSL's X509_V_ERR_* (x509_vfy.h): which certificate fault a handshake failed with.
_EXPIRED = frozenset({9, 10})
_HOSTNAME = frozenset({62, 64})
# libcurl compares the names itself, and then OpenSSL had no fault to report: 0, or 1 at first.
_NO_FAULT_OF_OPENSSL = frozenset({0, 1})
# curl.h; pycurl has no name for it. One header line was too long for libcurl's own limit.
_E_TOO_LARGE = 100


class Fault(Enum):
    """How a transfer failed, in fewer words than libcurl's ninety codes."""

    URL = auto()
    RESOLVE = auto()
    CONNECT = auto()
    TIMEOUT = auto()
    TLS = auto()
    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_HOSTNAME = auto()
    CERTIFICATE_UNTRUSTED = auto()
    SEND = auto()
    RECEIVE = auto()
    EMPTY = auto()
    PROTOCOL = auto()
    BODY_TOO_LARGE = auto()
    HEADERS_TOO_LARGE = auto()
    FORBIDDEN = auto()
    OURS = auto()


_FAULTS = {
    pycurl.E_URL_MALFORMAT: Fault.URL,
    # Only http(s) URLs get here: libcurl says so of an answer without a status line (HTTP/0.9).
    pycurl.E_UNSUPPORTED_PROTOCOL: Fault.PROTOCOL,
    pycurl.E_COULDNT_RESOLVE_HOST: Fault.RESOLVE,
    pycurl.E_COULDNT_CONNECT: Fault.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: Fault.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Fault.TLS,
    pycurl.E_SSL_CIPHER: Fault.TLS,
    pycurl.E_SSL_CACERT: Fault.CERTIFICATE_UNTRUSTED,
    pycurl.E_SEND_ERROR: Fault.SEND,
    pycurl.E_RECV_ERROR: Fault.RECEIVE,
    pycurl.E_GOT_NOTHING: Fault.EMPTY,
    pycurl.E_PARTIAL_FILE: Fault.RECEIVE,
    _E_TOO_LARGE: Fault.HEADERS_TOO_LARGE,
    pycurl.E_OUT_OF_MEMORY: Fault.OURS,
    pycurl.E_FAILED_INIT: Fault.OURS,
    pycurl.E_SSL_CACERT_BADFILE: Fault.OURS,
    pycurl.E_SSL_ENGINE_NOTFOUND: Fault.OURS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request on a connection of its own. No redirect is followed here.

    `addresses` are those of the URL's host, found by a lookup that took `lookup_ms` of the budget;
    none if the host is an address itself. `guard` is asked of each before it is connected to.
    """

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_ms: int
    max_body_bytes: int
    verify_tls: bool
    ca_pem: str | None
    guard: AddressGuard
    addresses: tuple[str, ...] = ()
    lookup_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferError:
    """Why a transfer failed: our word for it, libcurl's text, and the last errno (0: none)."""

    fault: Fault
    text: str
    errno: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One finished transfer, failed or not. `tried` are the addresses in order of attempt."""

    marks: Marks
    error: TransferError | None
    status_code: int | None
    http_version: str | None
    ip: str | None
    tried: tuple[str, ...]
    redirect_url: str | None
    headers: tuple[tuple[str, str], ...]
    body_bytes: int
    body_start: bytes


class CurlClient:
    """Many transfers at a time on the running event loop, each with a fresh connection."""

    def __init__(self) -> None:
        if not pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS:
            raise FatalError(
                f"{pycurl.version} resolves names synchronously, which would stop the event"
                " loop: install the pycurl wheel, whose libcurl resolves in threads"
            )
        self._multi: pycurl.AsyncCurlMulti | None = None
        # libcurl parses a bundle once per multi handle and shares it between its transfers.
        self._ca_file = trusted_ca_file()

    async def send(self, request: Request) -> Transfer:
        """Send and read until the end, a failure, or `timeout_ms`. Never raises for a target."""
        if self._multi is None:
            self._multi = pycurl.AsyncCurlMulti()
        reader = _Reader(limit=request.max_body_bytes)
        dialer = _Dialer(request)
        curl = pycurl.Curl()
        try:
            _configure(curl, request, self._ca_file)
            curl.setopt(pycurl.HEADERFUNCTION, reader.header)
            curl.setopt(pycurl.WRITEFUNCTION, reader.body)
            curl.setopt(pycurl.OPENSOCKETFUNCTION, dialer.open)
            error = None
            try:
                await self._multi.perform(curl)
            except pycurl.error as failure:
                error = _explain(curl, failure, reader, dialer)
            return _finish(curl, error, reader, dialer.tried)
        finally:
            curl.close()

    async def aclose(self) -> None:
        """Abandon what is in flight and close every connection."""
        if self._multi is not None:
            await self._multi.aclose()
            self._multi = None


def _configure(curl: Any, request: Request, ca_file: str) -> None:
    curl.setopt(pycurl.URL, request.url.encode())
    # Without NOSIGNAL libcurl uses SIGALRM, which crashes programs that have threads.
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    # A proxy from the environment would make every phase describe the proxy.
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.FORBID_REUSE, 1)
    curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    left_ms = max(1, int(request.timeout_ms - request.lookup_ms))
    curl.setopt(pycurl.TIMEOUT_MS, left_ms)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, left_ms)
    _configure_addresses(curl, request)
    _configure_method(curl, request)
    _configure_tls(curl, request, ca_file)


def _configure_addresses(curl: Any, request: Request) -> None:
    """Spare libcurl its own lookups: they queue for 20 threads, behind names without an answer."""
    if request.addresses:
        host, port = host_and_port(request.url)
        entry = f"{host}:{port}:{','.join(request.addresses)}"
        curl.setopt(pycurl.RESOLVE, [entry.encode()])


def host_and_port(url: str) -> tuple[str, int]:
    """Whom libcurl connects to for that URL."""
    parts = urlsplit(url)
    host = unquote(parts.hostname or "", errors="replace")
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def _configure_method(curl: Any, request: Request) -> None:
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    else:
        if request.body is not None:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
    # An empty Expect: without it libcurl waits a second for "100 Continue" before a large body.
    lines = [_header_line(name, value) for name, value in request.headers]
    curl.setopt(pycurl.HTTPHEADER, [*lines, b"Expect:"])


def _header_line(name: str, value: str) -> bytes:
    """libcurl takes `Name:` as "do not send" and `Name;` as "send it empty"."""
    return (f"{name}: {value}" if value.strip() else f"{name};").encode("utf-8", "replace")


def _configure_tls(curl: Any, request: Request, ca_file: str) -> None:
    if not request.verify_tls:
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    elif request.ca_pem is not None:
        curl.setopt(pycurl.CAINFO_BLOB, request.ca_pem.encode())
    else:
        curl.setopt(pycurl.CAINFO, ca_file)


@dataclass(slots=True)
class _Reader:
    """Collects the last header block and the start of the body, and stops what is too large."""

    limit: int
    lines: list[bytes] = field(default_factory=list)
    header_bytes: int = 0
    header_lines: int = 0
    body_bytes: int = 0
    start: bytearray = field(default_factory=bytearray)
    refused: Fault | None = None

    def header(self, line: bytes) -> int | None:
        self.header_bytes += len(line)
        self.header_lines += 1
        if self.header_bytes > _MAX_HEADER_BYTES or self.header_lines > _MAX_HEADER_LINES:
            self.refused = Fault.HEADERS_TOO_LARGE
            return -1
        if line.startswith(b"HTTP/"):
            self.lines.clear()  # a "100 Continue" or "103 Early Hints" block came before
        self.lines.append(line)
        return None

    def body(self, chunk: bytes) -> int | None:
        self.body_bytes += len(chunk)
        if (room := _KEPT_BODY_BYTES - len(self.start)) > 0:
            self.start += chunk[:room]
        if self.body_bytes > self.limit:
            self.refused = Fault.BODY_TOO_LARGE
            return -1
        return None


class _Address(NamedTuple):
    """What libcurl is about to connect to, as pycurl hands it over."""

    family: int
    socktype: int
    protocol: int
    addr: tuple[Any, ...]


class _Lent:
    """A descriptor for libcurl, which duplicates it as soon as the callback has returned."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


class _Dialer:
    """Opens libcurl's sockets: asks the guard, and knows each address that was tried."""

    def __init__(self, request: Request) -> None:
        self.tried: list[str] = []
        self.starved = False
        self.refusal: str | None = None
        self._guard = request.guard
        self._host = host_and_port(request.url)[0]

    def open(self, _purpose: int, address: _Address) -> Any:
        refusal = self._guard.refusal(str(address.addr[0]), self._host)
        if refusal is not None:
            self.refusal = refusal
            return pycurl.SOCKET_BAD
        try:
            made = socket.socket(address.family, address.socktype, address.protocol)
        except OSError as error:
            self.starved = error.errno in (EMFILE, ENFILE, ENOBUFS, ENOMEM)
            return pycurl.SOCKET_BAD
        made.settimeout(0)
        self.tried.append(_shown(address))
        return _Lent(made.detach())


def _shown(address: _Address) -> str:
    host, port = address.addr[0], address.addr[1]
    return f"[{host}]:{port}" if address.family == socket.AF_INET6 else f"{host}:{port}"


def _explain(curl: Any, failure: Any, reader: _Reader, dialer: _Dialer) -> TransferError:
    code, text = failure.args[0], str(failure.args[1])
    fault = reader.refused or _FAULTS.get(code, Fault.PROTOCOL)
    if dialer.refusal is not None and not dialer.tried:
        return TransferError(fault=Fault.FORBIDDEN, text=dialer.refusal, errno=0)
    if dialer.starved:
        fault = Fault.OURS
    if fault is Fault.CERTIFICATE_UNTRUSTED:
        fault = _certificate_fault(curl.getinfo(pycurl.SSL_VERIFYRESULT), text)
    return TransferError(fault=fault, text=text, errno=curl.getinfo(pycurl.OS_ERRNO))


def _certificate_fault(verify_result: int, text: str) -> Fault:
    if verify_result in _EXPIRED:
        return Fault.CERTIFICATE_EXPIRED
    by_libcurl = verify_result in _NO_FAULT_OF_OPENSSL and "subject" in text.lower()
    if verify_result in _HOSTNAME or by_libcurl:
        return Fault.CERTIFICATE_HOSTNAME
    return Fault.CERTIFICATE_UNTRUSTED


_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2: "2",
    pycurl.CURL_HTTP_VERSION_3: "3",
}


def _finish(
    curl: Any, error: TransferError | None, reader: _Reader, tried: Sequence[str]
) -> Transfer:
    return Transfer(
        marks=_marks(curl),
        error=error,
        status_code=curl.getinfo(pycurl.RESPONSE_CODE) or None,
        http_version=_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)),
        ip=curl.getinfo(pycurl.PRIMARY_IP) or None,
        tried=tuple(tried),
        redirect_url=_redirect_url(curl),
        headers=tuple(_parse(line) for line in reader.lines if b":" in line),
        body_bytes=reader.body_bytes,
        body_start=bytes(reader.start),
    )


def _redirect_url(curl: Any) -> str | None:
    """Where the answer redirects to; libcurl leaves foreign bytes in a host name as they are."""
    raw: bytes | None = curl.getinfo_raw(pycurl.REDIRECT_URL)
    return raw.decode("utf-8", "replace") if raw else None


def _parse(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("utf-8", "replace").partition(":")
    return name.strip(), value.strip()


def _marks(curl: Any) -> Marks:
    return Marks(
        queue=curl.getinfo(pycurl.QUEUE_TIME_T),
        namelookup=curl.getinfo(pycurl.NAMELOOKUP_TIME_T),
        connect=curl.getinfo(pycurl.CONNECT_TIME_T),
        appconnect=curl.getinfo(pycurl.APPCONNECT_TIME_T),
        pretransfer=curl.getinfo(pycurl.PRETRANSFER_TIME_T),
        posttransfer=curl.getinfo(pycurl.POSTTRANSFER_TIME_T),
        starttransfer=curl.getinfo(pycurl.STARTTRANSFER_TIME_T),
        total=curl.getinfo(pycurl.TOTAL_TIME_T),
    )
