"""How does a probe of ours reach a server? One door for TCP and TLS: resolve, connect, upgrade.

Every step is a phase of the check's timeline, ends with its deadline, and fails with a TargetError
that names the address.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.addressing import Endpoint, resolve
from uptimeo.probes.network.dialling import dial
from uptimeo.probes.network.resolver import Address
from uptimeo.probes.network.session import TlsFacts, TlsSession
from uptimeo.probes.network.tls import TlsOptions, kind_of
from uptimeo.probes.timeline import Timeline

_CHUNK = 65_536


@asynccontextmanager
async def open_stream(
    endpoint: Endpoint,
    context: ProbeContext,
    timeline: Timeline,
    tls: TlsOptions | None = None,
) -> AsyncIterator["Stream"]:
    """A connection to the endpoint, with TLS from the start if `tls` is given; closed at the end.

    Raises TargetError, also address_forbidden when none of the addresses may be connected to.
    """
    addresses = await resolve(endpoint.host, context, timeline, endpoint.family)
    with timeline.phase(Phase.CONNECT):
        opened, address = await dial(addresses, endpoint, context)
    timeline.resolved_ip = address.ip
    stream = Stream(opened, endpoint, address, context, timeline)
    try:
        if tls is not None:
            await stream.start_tls(tls)
        yield stream
    finally:
        opened.close()


class Stream:
    """A connection of one check. Reads are bounded, and all end with the check's deadline.

    `at` names the address in messages; `tls` is what the handshake showed, also a failed one.
    """

    def __init__(
        self,
        opened: socket.socket,
        endpoint: Endpoint,
        address: Address,
        context: ProbeContext,
        timeline: Timeline,
    ) -> None:
        self.at = address.at(endpoint.port)
        self.ip = address.ip
        self.tls: TlsFacts | None = None
        self._socket = opened
        self._host = endpoint.host
        self._context = context
        self._timeline = timeline
        self._session: TlsSession | None = None
        self._unread = bytearray()
        self._taken = 0

    async def start_tls(self, options: TlsOptions) -> TlsFacts:
        """Handshake on this connection, in the tls phase. Raises TargetError (tls_…).

        Bytes that came unasked before the handshake are refused: somebody on the way could have
        slipped in an answer.
        """
        # Before the phase: for options that are new, the bundle of authorities is read, 0.1 s long.
        name = self._host.rstrip(".")
        session = TlsSession(self._socket, self._context.tls, options, name, self.at)
        with self._timeline.phase(Phase.TLS):
            if self._unread:
                raise fail(ErrorType.STARTTLS, f"{self.at} sent more before TLS than it was asked")
            try:
                async with self._within(ErrorType.TLS_TIMEOUT, f"TLS handshake with {self.at}"):
                    await session.handshake()
            finally:
                self.tls = session.facts()
            self._session = session
            return self.tls

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        async with self._within(ErrorType.SEND_TIMEOUT, f"{len(data)} bytes to {self.at}"):
            if self._session is not None:
                await self._session.send(data)
            else:
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def read(self, limit: int = _CHUNK) -> bytes:
        """What there is, at least one byte; b"" at the end of what the server sends."""
        if not self._unread:
            self._unread += await self._receive()
        return self._take(min(limit, len(self._unread)))

    async def read_exactly(self, size: int) -> bytes:
        """That many bytes. Raises TargetError if the server ends before."""
        while len(self._unread) < size:
            await self._more(f"after {len(self._unread)} of {size} bytes", size)
        return self._take(size)

    async def read_until(self, end: bytes, limit: int | None = None) -> bytes:
        """Up to and with `end`. Raises TargetError if it is not within `limit` bytes."""
        most = limit or self._context.limits.line_bytes
        while (found := self._unread.find(end)) < 0:
            await self._more(f"before {end!r}", most)
        return self._take(found + len(end))

    def buffered(self) -> bytes:
        """What was received and not read yet."""
        return bytes(self._unread)

    async def more(self) -> None:
        """Receive at least one more byte into `buffered`. Raises TargetError at the end."""
        await self._more("before the expected answer", self._context.limits.read_bytes)

    async def _more(self, where: str, most: int) -> None:
        if len(self._unread) >= most:
            text = f"{self.at} sent {len(self._unread)} bytes {where}, more than the limit {most}"
            raise fail(ErrorType.BODY_TOO_LARGE, text)
        received = await self._receive()
        if not received:
            kind = ErrorType.PROTOCOL if self._taken or self._unread else ErrorType.EMPTY_RESPONSE
            raise fail(kind, f"{self.at} closed the connection {where}")
        self._unread += received

    async def _receive(self) -> bytes:
        async with self._within(ErrorType.FIRST_BYTE_TIMEOUT, f"answer of {self.at}"):
            if self._session is not None:
                received = await self._session.receive(_CHUNK)
            else:
                received = await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)
        if received:
            self._timeline.first_byte()
        return received

    def _take(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        self._taken += size
        return taken

    def _within(self, kind: ErrorType, what: str) -> "_Step":
        late = f"{what} not complete within {self._context.timeout_ms} ms"
        return _Step(self.at, self._context.deadline, kind, late)


class _Step(AbstractAsyncContextManager[None]):
    """What waits for the server, up to the deadline; says of every error what it means.

    Not made by `asynccontextmanager`, for the reason that `Timeline.phase` is not.
    """

    def __init__(self, at: str, deadline: float, kind: ErrorType, late: str) -> None:
        self._at = at
        self._deadline = asyncio.timeout_at(deadline)
        self._kind = kind
        self._late = late

    async def __aenter__(self) -> None:
        await self._deadline.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._deadline.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise fail(self._kind, self._late) from late
        if isinstance(error, TimeoutError):  # of the kernel, which gave up sooner
            raise fail(self._kind, self._late) from error
        if isinstance(error, OSError):
            raise _broken(error, self._at) from error


def _broken(error: OSError, at: str) -> TargetError:
    if isinstance(error, ssl.SSLError):
        # In TLS 1.3 a server says after the handshake that it wanted a certificate of ours.
        return fail(kind_of(error), f"TLS with {at} broke: {error.reason}")
    if isinstance(error, ConnectionError):
        return fail(ErrorType.CONNECTION_RESET, f"connection reset by {at}")
    return fail(ErrorType.PROTOCOL, f"connection to {at} broke: {error.strerror}")
