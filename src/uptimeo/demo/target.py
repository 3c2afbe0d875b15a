"""How does the demo target behave? A small HTTP server on loopback, plain and over TLS.

`python -m uptimeo.demo.target` prints where it listens as one line of JSON and serves until its
standard input ends, so that it never outlives the process that started it.
"""

import asyncio
import json
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle

import trustme

from uptimeo.children import announce, ended
from uptimeo.demo.monitors import DemoTarget
from uptimeo.domain.errors import FatalError

_HOST = "127.0.0.1"
_MAX_REQUEST_BODY = 1_048_576
_JSON = "application/json"
_REASONS = {
    200: "OK",
    302: "Found",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request, and the connection that takes its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(
        self, status: int, body: bytes, *, content_type: str = _JSON, location: str | None = None
    ) -> None:
        """Send a whole response at once."""
        await self.begin(status, len(body), content_type=content_type, location=location)
        await self.send(body)

    async def begin(
        self, status: int, length: int, *, content_type: str = _JSON, location: str | None = None
    ) -> None:
        """Send the head of a response whose body has `length` bytes."""
        lines = [
            f"HTTP/1.1 {status} {_REASONS[status]}",
            "Server: uptimeo-demo",
            f"Content-Type: {content_type}",
            f"Content-Length: {length}",
            "Connection: close",
        ]
        if location is not None:
            lines.append(f"Location: {location}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self.writer.drain()

    async def send(self, part: bytes) -> None:
        """Send a part of the body; the answer to a HEAD request has none."""
        if self.method != "HEAD":
            self.writer.write(part)
            await self.writer.drain()


_Page = Callable[[_Request], Awaitable[None]]


class _Pages:
    """What each path does. What varies, varies in a fixed order: a viewer sees all of it soon."""

    def __init__(self) -> None:
        self._first_byte_delays = cycle((0.4, 0.35, 0.55, 0.4, 1.1))
        # Five is prime to any likely number of datacenters, so that each of them sees both.
        self._flaky_statuses = cycle((200, 200, 503, 200, 503))
        self._pages: dict[str, _Page] = {
            "/fast": self._fast,
            "/slow-first-byte": self._slow_first_byte,
            "/slow-body": self._slow_body,
            "/flaky": self._flaky,
            "/failing": self._failing,
            "/redirect": self._redirect,
            "/redirect/again": self._redirect_again,
            "/not-json": self._not_json,
            "/large": self._large,
            "/too-large": self._too_large,
            "/no-answer": self._no_answer,
            "/stalled": self._stalled,
            "/echo": self._echo,
        }

    async def serve(self, request: _Request) -> None:
        """Behave as the path says."""
        await self._pages.get(request.path, self._missing)(request)

    async def _fast(self, request: _Request) -> None:
        await request.answer(200, b'{"status": "ok"}')

    async def _slow_first_byte(self, request: _Request) -> None:
        await asyncio.sleep(next(self._first_byte_delays))
        await request.answer(200, b'{"status": "ok, after some thought"}')

    async def _slow_body(self, request: _Request) -> None:
        parts = 8
        part = b'{"part": "one of many"}\n'
        await request.begin(200, parts * len(part), content_type="application/x-ndjson")
        for _ in range(parts):
            await asyncio.sleep(0.05)
            await request.send(part)

    async def _flaky(self, request: _Request) -> None:
        status = next(self._flaky_statuses)
        await request.answer(status, json.dumps({"healthy": status == 200}).encode())

    async def _failing(self, request: _Request) -> None:
        await request.answer(500, b'{"error": "the database of this service is out of disk space"}')

    async def _redirect(self, request: _Request) -> None:
        await request.answer(302, b"", location="/redirect/again")

    async def _redirect_again(self, request: _Request) -> None:
        await request.answer(302, b"", location="/fast")

    async def _not_json(self, request: _Request) -> None:
        page = (
            b"<!doctype html><title>Caf\xe9</title><p>Latin-1, said to be UTF-8: \xff\xfe\x00</p>\n"
        )
        await request.answer(200, page, content_type="text/html; charset=utf-8")

    async def _large(self, request: _Request) -> None:
        await request.answer(200, b"0123456789abcdef" * 12_500, content_type="text/plain")

    async def _too_large(self, request: _Request) -> None:
        await request.answer(200, b"0123456789abcdef" * 100_000, content_type="text/plain")

    async def _no_answer(self, request: _Request) -> None:
        request.writer.close()

    async def _stalled(self, request: _Request) -> None:
        await request.reader.read()  # until the client goes away

    async def _echo(self, request: _Request) -> None:
        seen = {
            "method": request.method,
            "headers": request.headers,
            "body": request.body.decode("utf-8", "replace"),
        }
        await request.answer(200, json.dumps(seen).encode())

    async def _missing(self, request: _Request) -> None:
        await request.answer(404, b'{"error": "no such page"}')


class _Connections:
    """Answers one request on each connection; nothing that a client does is an error here."""

    def __init__(self, pages: _Pages) -> None:
        self._pages = pages
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection. A coroutine in its place would have asyncio log cancelled clients."""
        task = asyncio.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                await self._pages.serve(await _read_request(reader, writer))
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().title(): value.strip() for name, _, value in pairs}
    length = min(int(headers.get("Content-Length", "0")), _MAX_REQUEST_BODY)
    return _Request(
        method=method,
        path=target.partition("?")[0],
        headers=headers,
        body=await reader.readexactly(length),
        reader=reader,
        writer=writer,
    )


async def serve(host: str, port: int, listening: Callable[[str], None]) -> None:
    """Serve plain HTTP there until SIGTERM or SIGINT; tell `listening` where that is.

    Raises FatalError if that address cannot be had.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connections = _Connections(_Pages())
    try:
        server = await asyncio.start_server(connections.accept, host, port)
    except OSError as error:
        raise FatalError(f"the demo target cannot listen on {host}:{port}: {error}") from error
    listening(":".join(map(str, server.sockets[0].getsockname()[:2])))
    await stopped.wait()
    server.close()


async def _serve_until_stopped() -> None:
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(_HOST, "localhost").configure_cert(tls)
    connections = _Connections(_Pages())
    with socket.socket() as closed:
        closed.bind((_HOST, 0))  # and never listens
        http = await asyncio.start_server(connections.accept, _HOST, 0)
        https = await asyncio.start_server(connections.accept, _HOST, 0, ssl=tls)
        stopped = ended()
        found = DemoTarget(
            http_port=http.sockets[0].getsockname()[1],
            https_port=https.sockets[0].getsockname()[1],
            closed_port=closed.getsockname()[1],
            ca_pem=ca.cert_pem.bytes().decode("ascii"),
        )
        announce(asdict(found))
        await stopped.wait()
        http.close()
        https.close()


if __name__ == "__main__":
    # In debug mode asyncio reports each failed handshake, and here they are meant to fail.
    asyncio.run(_serve_until_stopped(), debug=False)
