"""Who answers after delays that it has measured itself? HTTP on loopback, plain and over TLS 1.3.

`python -m uptimeo.calibration.target HOLD_MS [ADDRESS]` holds the TLS handshake, the first byte
and the rest of the body for HOLD_MS each, and says in the body how long it really was: see
`Truth`. It prints where it listens as one line of JSON and serves until its standard input ends.
"""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from time import perf_counter

import trustme

from uptimeo.calibration.truth import HEAD, first_part, last_part
from uptimeo.calibration.truth import Target as Listening
from uptimeo.children import announce, ended
from uptimeo.probes.network.arrival import ANCILLARY_BYTES, arrival, stamp_arrivals

_BACKLOG = 1024
_MOST_BYTES = 65_536


class _Answer:
    """One connection. What came is stamped by the kernel, what goes next to the system call."""

    def __init__(self, hold_s: float, tls: ssl.SSLContext | None, opened: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._hold_s = hold_s
        self._wire = _Plain() if tls is None else _Encrypted(tls)
        self._request = b""
        self._tls_ms: float | None = None
        self._socket = opened
        self._port = opened.getpeername()[1]
        opened.settimeout(0)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(opened, self._receive)

    def _receive(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_MOST_BYTES, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        seen = arrival(ancillary)
        try:
            self._take(data, seen.read_at - max(0.0, seen.age_s or 0.0))
        except ssl.SSLError:
            self._close()

    def _take(self, data: bytes, came: float) -> None:
        if not data or len(self._request) > _MOST_BYTES:
            self._close()
        elif isinstance(self._wire, _Encrypted) and self._tls_ms is None:
            self._wire.keep(data)
            self._tls_ms = 0.0
            self._later(self._shake_hands, came)
        elif not self._is_asked():
            self._request += self._wire.read(data)
            if self._is_asked():
                self._later(self._begin, came)

    def _is_asked(self) -> bool:
        return self._request.endswith(b"\r\n\r\n")

    def _later(self, step: Callable[[float], None], since: float) -> None:
        self._loop.call_later(self._hold_s, step, since)

    def _shake_hands(self, since: float) -> None:
        assert isinstance(self._wire, _Encrypted)
        try:
            flight = self._wire.flight()
        except ssl.SSLError:
            self._close()
            return
        self._tls_ms = (perf_counter() - since) * 1000
        self._send(flight)

    def _begin(self, since: float) -> None:
        now = perf_counter()
        wait_ms = (now - since) * 1000
        self._send(self._wire.seal(HEAD + first_part(self._port, self._tls_ms, wait_ms)))
        self._later(self._finish, now)

    def _finish(self, since: float) -> None:
        self._send(self._wire.seal(last_part((perf_counter() - since) * 1000)))
        self._close()

    def _send(self, data: bytes) -> None:
        if self._socket.fileno() >= 0:
            with suppress(OSError):
                self._socket.sendall(data)

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


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


@contextmanager
def _listening(host: str, hold_s: float, tls: ssl.SSLContext | None) -> Iterator[int]:
    """The port of a listener."""
    loop = asyncio.get_running_loop()
    with socket.create_server((host, 0), backlog=_BACKLOG) as listener:
        listener.settimeout(0)
        stamp_arrivals(listener)  # and so each connection, from its first byte on

        def accept() -> None:
            with suppress(OSError):
                while True:
                    _Answer(hold_s, tls, listener.accept()[0])

        loop.add_reader(listener, accept)
        yield listener.getsockname()[1]


async def _serve(hold_s: float, host: str = "127.0.0.1") -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    with _listening(host, hold_s, None) as http, _listening(host, hold_s, context) as https:
        stopped = ended()
        pem = authority.cert_pem.bytes().decode("ascii")
        announce(asdict(Listening(host=host, http_port=http, https_port=https, ca_pem=pem)))
        await stopped.wait()


def main() -> None:
    """Serve with the punctuality of a real-time process, where the host lets it."""
    hold_ms, *rest = sys.argv[1:]
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    asyncio.run(_serve(float(hold_ms) / 1000, *rest), debug=False)


if __name__ == "__main__":
    main()
