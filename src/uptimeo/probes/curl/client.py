"""How do many transfers run on one event loop, each with a connection of its own?"""

import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pycurl

from uptimeo.domain.errors import FatalError
from uptimeo.probes.curl.arrivals import Arrivals
from uptimeo.probes.curl.dialer import Dialer
from uptimeo.probes.curl.driver import Driver, FloodError
from uptimeo.probes.curl.faults import explain
from uptimeo.probes.curl.marks import Lateness, Marks
from uptimeo.probes.curl.reader import Reader
from uptimeo.probes.curl.setup import configured, logical_url
from uptimeo.probes.curl.transfer import Fault, Handshake, Request, Transfer, TransferError
from uptimeo.probes.curl.watcher import MAX_CERTIFICATES, Watcher

_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2: "2",
    pycurl.CURL_HTTP_VERSION_3: "3",
}


class CurlClient:
    """Many transfers at a time on the running event loop, each with a fresh connection."""

    def __init__(self) -> None:
        if not pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS:
            raise FatalError(
                f"{pycurl.version} resolves names synchronously, which would stop the event"
                " loop: install the pycurl wheel, whose libcurl resolves in threads"
            )
        self._driver: Driver | None = None

    async def send(self, request: Request) -> Transfer:
        """Send and read until the end, a failure, or `timeout_ms`. Never raises for a target."""
        if self._driver is None:
            self._driver = Driver()
        reader = Reader(
            limit=request.max_body_bytes, keep=request.keep_body_bytes, decodes=request.encodings
        )
        watcher = Watcher(began=time.perf_counter())
        with configured(request) as curl:
            arrivals = Arrivals(curl, watcher, request.most_wire_bytes)
            dialer = Dialer(request, arrivals)
            curl.setopt(pycurl.HEADERFUNCTION, reader.header)
            curl.setopt(pycurl.WRITEFUNCTION, reader.body)
            curl.setopt(pycurl.OPENSOCKETFUNCTION, dialer.open)
            if request.is_tls or request.proxy is not None:
                curl.setopt(pycurl.VERBOSE, 1)
                curl.setopt(pycurl.DEBUGFUNCTION, watcher.note)
            if request.http_version == "3":
                curl.setopt(pycurl.OPT_CERTINFO, 1)
            error, late = None, Lateness()
            try:
                ended_at = await self._driver.perform(curl, arrivals)
                if request.proxy is None:
                    late = arrivals.lateness(ended_at)
            except pycurl.error as failure:
                error = explain(curl, failure, reader, dialer, watcher)
                error = replace(error, errno=arrivals.errno or error.errno)
            except FloodError:
                error = TransferError(fault=Fault.FLOOD, text="too many bytes")
            if error is None and reader.unpacker is not None and not reader.unpacker.whole:
                error = TransferError(fault=Fault.ENCODING, text="it breaks off")
            if error is None and not reader.complete:
                error = TransferError(fault=Fault.RECEIVE, text="its headers have no end")
            seen = _Seen(reader=reader, dialer=dialer, watcher=watcher, late=late)
            return _finish(curl, request, error, seen)

    async def aclose(self) -> None:
        """Abandon what is in flight and close every connection."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Who watched a transfer, and how late we were."""

    reader: Reader
    dialer: Dialer
    watcher: Watcher
    late: Lateness


def _finish(curl: Any, request: Request, error: TransferError | None, seen: _Seen) -> Transfer:
    reader, watcher = seen.reader, seen.watcher
    kept = curl.getinfo_raw(pycurl.INFO_COOKIELIST) if request.cookies is not None else ()
    return Transfer(
        marks=replace(_marks(curl, request, watcher), late=seen.late),
        error=error,
        status_code=curl.getinfo(pycurl.RESPONSE_CODE) or None,
        http_version=_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)),
        ip=curl.getinfo(pycurl.PRIMARY_IP) or None,
        tried=tuple(seen.dialer.tried),
        redirect_url=logical_url(request, _redirect_url(curl)),
        headers=reader.headers(),
        body_bytes=reader.body_bytes,
        wire_bytes=curl.getinfo(pycurl.SIZE_DOWNLOAD_T),
        body_start=bytes(reader.start),
        handshake=_handshake(curl, request, watcher),
        cookies=tuple(kept),
    )


def _handshake(curl: Any, request: Request, watcher: Watcher) -> Handshake:
    """That with the target: before a tunnel stands, a proxy shows its own certificate."""
    if not request.is_tls or (request.tunnels and not watcher.tunnel_us):
        return Handshake()
    seen = watcher.handshake()
    if request.http_version == "3":  # QUIC's messages are not in the trace
        return replace(seen, presented=tuple(_certificates(curl)))
    return seen


def _certificates(curl: Any) -> Iterator[bytes]:
    for each in curl.getinfo_raw(pycurl.INFO_CERTINFO)[:MAX_CERTIFICATES]:
        pem = dict(pair for pair in each if len(pair) == 2).get(b"Cert", b"")
        with suppress(ValueError):
            yield ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))


def _redirect_url(curl: Any) -> str | None:
    """Where the answer redirects to; libcurl leaves foreign bytes in a host name as they are."""
    raw: bytes | None = curl.getinfo_raw(pycurl.REDIRECT_URL)
    return raw.decode("utf-8", "replace") if raw else None


def _marks(curl: Any, request: Request, watcher: Watcher) -> Marks:
    connect = curl.getinfo(pycurl.CONNECT_TIME_T)
    lookup = curl.getinfo(pycurl.NAMELOOKUP_TIME_T)
    return Marks(
        queue=curl.getinfo(pycurl.QUEUE_TIME_T),
        # With socks5 libcurl looks up the target when the proxy is connected to already.
        namelookup=min(lookup, connect or lookup),
        connect=connect,
        tunnel=watcher.tunnel_us if request.tunnels else None,
        appconnect=curl.getinfo(pycurl.APPCONNECT_TIME_T),
        pretransfer=curl.getinfo(pycurl.PRETRANSFER_TIME_T),
        posttransfer=curl.getinfo(pycurl.POSTTRANSFER_TIME_T),
        starttransfer=curl.getinfo(pycurl.STARTTRANSFER_TIME_T),
        total=curl.getinfo(pycurl.TOTAL_TIME_T),
    )
