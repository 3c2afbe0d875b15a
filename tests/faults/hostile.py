"""Who means harm, and by which scripts? The words of which `hostile_*` make their endpoints."""

import asyncio
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from tests.support.servers import Script, read_request
from uptimeo.domain.result import ErrorType

DRIP_S = 0.5
_AFTER_S = 0.02  # a reset discards what was not yet read
Datagrams = Callable[[bytes], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Hostile:
    """An endpoint and how a check of it ends: by one of the errors, within its timeout.

    `url` gets the port. `tls` makes the server's side of TLS, for scripts that want it, when the
    process starts. With `datagrams` it also answers each datagram by some; with `floods`, the URL's
    host sends what that makes of an echo request, without end.
    """

    name: str
    script: Script
    ends: tuple[ErrorType, ...]
    type: str = "http"
    url: str = "http://127.0.0.1:{port}/"
    options: dict[str, Any] = field(default_factory=dict)
    tls: Callable[[], ssl.SSLContext] | None = None
    datagrams: Datagrams | None = None
    floods: Callable[[bytes], bytes] | None = None


def dripping(head: bytes, drip: bytes = b".", *, listens: bool = True) -> Script:
    """Send `head`, then a byte every half second."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if listens:
            await reader.read(65_536)
        writer.write(head)
        while True:
            writer.write(drip)
            await writer.drain()
            await asyncio.sleep(DRIP_S)

    return script


def flooding(head: bytes, unit: bytes, *, listens: bool = False) -> Script:
    """Send `head`, then `unit` for ever; `listens` lets the client speak first."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if listens:
            await reader.read(65_536)
        writer.write(head)
        while True:
            writer.write(unit)
            await writer.drain()
            await asyncio.sleep(0)

    return script


def saying(*parts: bytes) -> Script:
    """Send the first part at once, and each further one when the client has spoken; then wait."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, part in enumerate(parts):
            if number:
                await reader.read(65_536)
            writer.write(part)
            await writer.drain()
        await reader.read()

    return script


def reset_after(whole: bytes, sizes: Iterator[int], *, listens: bool = True) -> Script:
    """Send as many bytes as the next size says, then reset the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if listens:
            await read_request(reader)
        writer.write(whole[: next(sizes)])
        await writer.drain()
        await asyncio.sleep(_AFTER_S)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return script
