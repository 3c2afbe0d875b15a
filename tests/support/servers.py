"""Which servers does a probe meet? Real ones on loopback, each with one scripted fault."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens, as URLs are built from it."""

    port: int
    host: str = HOST
    scheme: str = "http"

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        """The URL of a path, by the listening address or by another name for it."""
        shown = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{self.scheme}://{shown}:{self.port}{path}"

    @property
    def shown(self) -> str:
        """The address as messages name it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@asynccontextmanager
async def serve(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = HOST, port: int = 0
) -> AsyncIterator[Address]:
    """Run `script` once for each connection; what it raises because the client left is normal.

    At the end, what is still running is cancelled, its connections are aborted, and any other
    fault of a script is raised. The scripts run as tasks of ours: asyncio would log each one
    that is cancelled.
    """
    tasks: list[asyncio.Task[None]] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):
                await script(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(run(reader, writer)))

    server = await asyncio.start_server(accept, host, port, ssl=tls, backlog=512)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Address(port=port, host=host, scheme="https" if tls else "http")
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to notice that they were closed
    for end in ends:
        if isinstance(end, Exception):
            raise end


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request: `headers` in order, with lower-case names."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the header with that lower-case name."""
        return dict(self.headers).get(name)


async def read_request(reader: asyncio.StreamReader) -> Received:
    """Read one request with its body. Raises EOFError if the client leaves before its end."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8").strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    body = await reader.readexactly(int(dict(headers).get("content-length", "0")))
    return Received(method=method, path=path, headers=headers, body=body)


def response(status: str, *lines: str, body: bytes = b"") -> bytes:
    """A whole response, such as `response("302 Found", "Location: /next")`."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("utf-8") + body


@dataclass(slots=True)
class Site:
    """A script that answers by path, after a delay in seconds, and remembers what it was asked."""

    pages: dict[str, bytes] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        self.received.append(request)
        await asyncio.sleep(self.delays.get(request.path, 0))
        page = self.pages.get(request.path, OK)
        writer.write(page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if _is_head(request) else page)
        await writer.drain()


def _is_head(request: Received) -> bool:
    return request.method == "HEAD"


# Scripts. Each reads the whole request first, so that closing does not reset the connection.


def answering(*parts: bytes, first_after_s: float = 0, between_s: float = 0) -> Script:
    """Send `parts`: the first after a delay, the others with a pause before each."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(first_after_s)
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(between_s)
            writer.write(part)
            await writer.drain()

    return script


def answering_then_stalled(*parts: bytes) -> Script:
    """Send `parts`, then keep the connection open without a word."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(*parts)(reader, writer)
        await reader.read()

    return script


def answering_then_reset(*parts: bytes) -> Script:
    """Send `parts`, let them arrive, then reset the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(*parts)(reader, writer)
        await asyncio.sleep(0.02 if parts else 0)  # a reset discards what was not yet read
        _reset(writer)

    return script


def endless(head: bytes, unit: bytes) -> Script:
    """Send `head`, then `unit` again and again until the client leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(unit)
            await writer.drain()
            await asyncio.sleep(0)  # drain gives way only when the buffers are full

    return script


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take whatever comes and never answer: also to a TLS handshake."""
    await reader.read()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close at once after the first bytes, whatever they are."""
    await reader.read(65_536)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection at the first bytes, whatever they are."""
    await reader.read(1)
    _reset(writer)


async def never_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the request pile up in the buffers of both sides."""
    transport = writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    await asyncio.Event().wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_for_no_time = struct.pack("ii", 1, 0)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    writer.transport.abort()


@asynccontextmanager
async def delaying_relay(to: Address, delay_s: float) -> AsyncIterator[Address]:
    """A TCP relay that holds the client's first bytes: the start of a TLS handshake."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65_536)
        await asyncio.sleep(delay_s)
        inner_reader, inner_writer = await asyncio.open_connection(to.host, to.port)
        try:
            inner_writer.write(first)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, inner_writer))
                group.create_task(_copy(inner_reader, writer))
        finally:
            inner_writer.close()

    async with serve(script) as outside:
        yield Address(port=outside.port, scheme=to.scheme)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextmanager
def refusing() -> Iterator[Address]:
    """An address that refuses: the port is held, so that nobody else can listen there."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield Address(port=held.getsockname()[1])


@contextmanager
def deaf() -> Iterator[tuple[Address, socket.socket]]:
    """An address whose queue of connections is full: further SYNs get no answer.

    Accepting from the socket makes room, and the client's next SYN, a second later, gets in.
    """
    with socket.socket() as listener, socket.socket() as queued:
        listener.bind((HOST, 0))
        listener.listen(0)
        queued.connect(listener.getsockname())
        listener.setblocking(False)
        yield Address(port=listener.getsockname()[1]), listener
