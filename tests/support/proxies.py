"""Through whom does a probe reach a server? An HTTP proxy and a SOCKS one, on loopback."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.servers import response


@dataclass(slots=True)
class HttpProxy:
    """Connects or forwards as it is told to; `refusal` is an answer to give instead."""

    refusal: bytes | None = None
    delay_s: float = 0
    heads: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        await asyncio.sleep(self.delay_s)
        if self.refusal is not None:
            writer.write(self.refusal)
            return
        method, target, _ = head.split(b" ", 2)
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            writer.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            await _join(reader, writer, host.strip("[]"), int(port), b"")
        else:
            parts = urlsplit(target.decode())
            await _join(reader, writer, parts.hostname or "", parts.port or 80, head)


@dataclass(slots=True)
class SocksProxy:
    """SOCKS 5 without authentication; `asked` are the hosts as they came, names or addresses."""

    code: int = 0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        self.asked.append(host)
        writer.write(bytes([5, self.code, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not self.code:
            await _join(reader, writer, host, port, b"")


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    first: bytes,
) -> None:
    inner_reader, inner_writer = await asyncio.open_connection(host, port)
    inner_writer.write(first)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, inner_writer))
            group.create_task(_copy(inner_reader, writer))
    finally:
        inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


REFUSED = response("407 Proxy Authentication Required")
