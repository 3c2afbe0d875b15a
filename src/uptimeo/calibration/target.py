"""Who answers after delays that it has measured itself? HTTP on loopback, plain and over TLS 1.3.

`python -m uptimeo.calibration.target HOLD_MS [ADDRESS]` holds the TLS handshake, the first byte
and the rest of the body for HOLD_MS each, and says in the body how long it really was: see
`Truth`. It prints where it listens as one line of JSON and serves until its standard input ends.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from time import perf_counter

import trustme

from uptimeo.calibration.truth import HEAD, first_part, last_part
from uptimeo.calibration.truth import Target as Listening
from uptimeo.children import announce, ended

_BACKLOG = 1024
_MOST_BYTES = 65_536


class _Answer(asyncio.Protocol):
    """One connection. The stamps are taken next to the system calls."""

    def __init__(self, hold_s: float, tls: ssl.SSLContext | None) -> None:
        self._hold_s = hold_s
        self._wire = _Plain() if tls is None else _Encrypted(tls)
        self._request = b""
        self._tls_ms: float | None = None
        self._transport: asyncio.Transport | None = None
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port = transport.get_extra_info("peername")[1]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        came = perf_counter()
        if isinstance(self._wire, _Encrypted) and self._tls_ms is None:
            self._wire.keep(data)
            self._tls_ms = 0.0
            self._later(self._shake_hands, came)
        elif self._transport is not None and not self._is_asked():
            try:
                self._request += self._wire.read(data)
            except ssl.SSLError:
                self._transport.abort()
                return
            if self._is_asked():
                self._later(self._begin, came)
            elif len(self._request) > _MOST_BYTES:
                self._transport.abort()

    def _is_asked(self) -> bool:
        return self._request.endswith(b"\r\n\r\n")

    def _later(self, step: Callable[[float], None], since: float) -> None:
        asyncio.get_running_loop().call_later(self._hold_s, step, since)

    def _shake_hands(self, since: float) -> None:
        assert isinstance(self._wire, _Encrypted)
        try:
            flight = self._wire.flight()
        except ssl.SSLError:
            flight = b""
        self._tls_ms = (perf_counter() - since) * 1000
        self._write(flight)

    def _begin(self, since: float) -> None:
        now = perf_counter()
        wait_ms = (now - since) * 1000
        self._write(self._wire.seal(HEAD + first_part(self._port, self._tls_ms, wait_ms)))
        self._later(self._finish, now)

    def _finish(self, since: float) -> None:
        self._write(self._wire.seal(last_part((perf_counter() - since) * 1000)))
        if self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class _Plain:
    """Bytes as they are."""

    def read(self, data: bytes) -> bytes:
        return data

    def seal(self, data: bytes) -> bytes:
        return data


class _Encrypted:
    """The server's side of TLS between memory and memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._agreed = False

    def keep(self, data: bytes) -> None:
        """The client's hello, for later."""
        self._incoming.write(data)

    def flight(self) -> bytes:
        """What answers the hello. Raises SSLError for what is none."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def read(self, data: bytes) -> bytes:
        """What the client says in these bytes. Raises SSLError."""
        self._incoming.write(data)
        with suppress(ssl.SSLWantReadError):
            if not self._agreed:
                self._tls.do_handshake()
                self._agreed = True
            return self._tls.read(_MOST_BYTES)
        return b""

    def seal(self, data: bytes) -> bytes:
        """These bytes for the wire."""
        self._tls.write(data)
        return self._outgoing.read()


async def _serve(hold_s: float, host: str) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    loop = asyncio.get_running_loop()
    http, https = [
        await loop.create_server(partial(_Answer, hold_s, tls), host, 0, backlog=_BACKLOG)
        for tls in (None, context)
    ]
    stopped = ended()
    found = Listening(
        host=host,
        http_port=http.sockets[0].getsockname()[1],
        https_port=https.sockets[0].getsockname()[1],
        ca_pem=authority.cert_pem.bytes().decode("ascii"),
    )
    announce(asdict(found))
    await stopped.wait()


def main() -> None:
    """Serve with the punctuality of a real-time process, where the host lets it."""
    hold_ms, *rest = sys.argv[1:]
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    asyncio.run(_serve(float(hold_ms) / 1000, *(rest or ["127.0.0.1"])), debug=False)


if __name__ == "__main__":
    main()
