"""Which DNS servers does a probe meet? Real ones on loopback, for UDP and TCP on one port."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.support.servers import HOST, serve

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a server was asked, over which transport, and the way to answer it, also twice."""

    message: dns.message.Message
    transport: str
    client: tuple[str, int]
    send: Send

    async def answer(self, *records: str, **made: Any) -> None:
        """Send what `reply` makes."""
        await self.send(reply(self.message, *records, **made))


Script = Callable[[Query], Coroutine[Any, Any, None]]


def reply(
    query: dns.message.Message,
    *records: str,
    rcode: str = "NOERROR",
    flags: str = "RA",
    change: Callable[[dns.message.Message], object] = lambda message: None,
) -> bytes:
    """An answer with records such as "host.example. 60 IN A 192.0.2.1"."""
    made = dns.message.make_response(query)
    made.flags |= dns.flags.from_text(flags)
    made.set_rcode(dns.rcode.from_text(rcode))
    for record in records:
        name, ttl, cls, kind, data = record.split(" ", 4)
        made.answer.append(dns.rrset.from_text(name, int(ttl), cls, kind, data))
    change(made)
    return made.to_wire(max_size=65_535)


def answering(*records: str, **made: Any) -> Script:
    """A server that says the same to everybody."""

    async def script(query: Query) -> None:
        await query.answer(*records, **made)

    return script


async def silent(query: Query) -> None:
    """A server that never answers."""


@asynccontextmanager
async def serve_dns(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run `script` for each query; the port. With `tls`, TCP is DNS over TLS."""
    tasks: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))

        async def send(answer: bytes) -> None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()

        await script(_query(wire, "tcp", writer.get_extra_info("peername"), send))

    async def listen(opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wire, client = await loop.sock_recvfrom(opened, 65_535)
            query = _query(wire, "udp", client, partial(_send, opened, client))
            tasks.append(asyncio.create_task(script(query)))

    with _where_tcp_is_free() as opened:
        opened.setblocking(False)
        port = opened.getsockname()[1]
        async with serve(connected, tls=tls, port=port) as address:
            tasks.append(asyncio.create_task(listen(opened)))
            try:
                yield address.port
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


def _where_tcp_is_free() -> socket.socket:
    """A socket for UDP on a port that nobody has for TCP either."""
    while True:
        opened = socket.socket(type=socket.SOCK_DGRAM)
        opened.bind((HOST, 0))
        with socket.socket() as tried, suppress(OSError):
            tried.bind(opened.getsockname())
            return opened
        opened.close()


async def _send(opened: socket.socket, client: tuple[str, int], answer: bytes) -> None:
    await asyncio.get_running_loop().sock_sendto(opened, answer, client)


def _query(wire: bytes, transport: str, client: tuple[str, int], send: Send) -> Query:
    message = dns.message.from_wire(wire)
    return Query(message=message, transport=transport, client=client[:2], send=send)
