"""What can a web server do to whom it answers? Endpoints for `http`, each with the end it has."""

import gzip
import zlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from functools import cache
from itertools import count

from tests.faults.hostile import Hostile, dripping, reset_after
from tests.support.servers import (
    OK,
    Script,
    answering,
    answering_then_stalled,
    endless,
    mute,
    read_request,
    response,
)
from uptimeo.domain.result import ErrorType as E

_MEGABYTE = 1 << 20
_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# A gigabyte of zeros, as the program `brotli` packs them with a window of 4 MiB.
_BROTLI_START = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c46111"
_BROTLI_MIDDLE = (
    "80eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f02200e0b0074effff8"
    "ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffe3ffff1ffc1300715800a07bffc7ffff3ff827"
    "00e2b00040f7fe8fffff7ff04f00c46101"
)
_BROTLI_END = (
    "80eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f02200e0b0074effff8"
    "ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffe3ffff1ffc1300715800a07bff37"
)
# The start of one with a window of 16 MiB.
_WIDE_BROTLI = "cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3f"
_LATE = (E.TRANSFER_TIMEOUT, E.FIRST_BYTE_TIMEOUT)


@cache
def gzip_bomb() -> bytes:
    """A gigabyte of zeros in one; takes some seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(_MEGABYTE)
    return b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()


def _bombing() -> Script:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await _encoded("gzip", gzip_bomb())(reader, writer)

    return script


def _encoded(encoding: str, body: bytes) -> Script:
    return answering(response("200 OK", f"Content-Encoding: {encoding}", body=body))


def _hundred_redirects() -> Script:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        number = int((await read_request(reader)).path.strip("/") or 0)
        away = f"Location: /{number + 1}"
        writer.write(response("302 Found", away) if number < 100 else OK)

    return script


def _bodies() -> Iterator[Hostile]:
    compressed = {"compressed": True}
    yield Hostile("gzip bomb", _bombing(), (E.DECOMPRESSION,), options=compressed)
    brotli = bytes.fromhex(_BROTLI_START + 15 * _BROTLI_MIDDLE + _BROTLI_END)
    wide = bytes.fromhex(_WIDE_BROTLI)
    br = {"compressed": "br"}
    yield Hostile("brotli bomb", _encoded("br", brotli), (E.DECOMPRESSION,), options=br)
    yield Hostile("wide brotli bomb", _encoded("br", wide), (E.DECOMPRESSION,), options=br)
    yield Hostile(
        "gzip in gzip", _encoded("gzip, gzip", brotli), (E.DECOMPRESSION,), options=compressed
    )
    nothing = endless(
        _HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff" * 2000,
    )
    yield Hostile("compressed nothing", nothing, (E.BODY_TOO_LARGE,), options=compressed)
    yield Hostile("endless body", endless(_HEAD + b"\r\n", b"x" * 65_536), (E.BODY_TOO_LARGE,))
    long = _HEAD + b"Content-Length: 1000\r\n\r\n"
    yield Hostile("dripping body", dripping(long), (E.TRANSFER_TIMEOUT,))
    yield Hostile("stalled body", answering_then_stalled(long), (E.TRANSFER_TIMEOUT,))
    deep = response("200 OK", "Content-Type: application/json", body=b"[" * 500_000)
    asserted = {"assertions": [{"kind": "json", "path": "$.a", "equals": 1}]}
    yield Hostile("deep JSON", answering(deep), (E.ASSERTION,), options=asserted)


def _heads() -> Iterator[Hostile]:
    yield Hostile("dripping status line", dripping(b"HTTP/1.1 2", b"0"), _LATE)
    yield Hostile("dripping headers", dripping(_HEAD), _LATE)
    line = endless(_HEAD + b"X-A: ", b"x" * 9000)
    yield Hostile("header without end", line, (E.HEADERS_TOO_LARGE,))
    million = answering(_HEAD + b"X-A: b\r\n" * 1_000_000 + b"\r\n")
    yield Hostile("a million headers", million, (E.HEADERS_TOO_LARGE,))
    hints = endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
    yield Hostile("endless hints", hints, (E.HEADERS_TOO_LARGE,))
    cookies = endless(_HEAD, b"Set-Cookie: a=b\r\n" * 500)
    yield Hostile("endless cookies", cookies, (E.HEADERS_TOO_LARGE,))
    yield Hostile("status line without end", endless(b"HTTP/1.1 200 ", b"x" * 9000), _TOO_LONG)
    yield Hostile("no HTTP at all", endless(b"", b"\x00\xff" * 4000), _TOO_LONG)
    for length in (b"-1", b"0x10", b"5\r\nContent-Length: 6"):
        broken = answering(_HEAD + b"Content-Length: " + length + b"\r\n\r\nhello")
        yield Hostile(f"length {length.decode()!r}", broken, (E.PROTOCOL, E.BODY_TOO_LARGE))


_TOO_LONG = (E.HEADERS_TOO_LARGE, E.PROTOCOL)


def _redirects() -> Iterator[Hostile]:
    yield Hostile("a hundred redirects", _hundred_redirects(), (E.TOO_MANY_REDIRECTS,))
    ring = answering(response("302 Found", "Location: /"))
    yield Hostile("redirects in a ring", ring, (E.TOO_MANY_REDIRECTS,))
    slow = answering(response("307 Temporary", "Location: /"), first_after_s=0.3)
    yield Hostile("slow redirects", slow, (E.FIRST_BYTE_TIMEOUT,))
    large = endless(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * 65_536)
    yield Hostile("redirect with endless body", large, (E.BODY_TOO_LARGE, E.TOO_MANY_REDIRECTS))
    for away in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://", "//" + "a" * 5000):
        script = answering(response("302 Found", f"Location: {away}"))
        ends = (E.REDIRECT_REFUSED, E.DNS)
        yield Hostile(f"redirect to {away[:20]}", script, ends)


def _chunks() -> Iterator[Hostile]:
    for chunk in (b"ffffffffffffffff1\r\nx", b"-1\r\nx", b"g\r\n", b"\r\n\r\n", b"2\r\nhello\r\n0"):
        name = f"chunk {chunk.decode()!r}"
        yield Hostile(name, answering(_CHUNKED + chunk), (E.PROTOCOL,))
    yield Hostile(
        "chunk header without end", endless(_CHUNKED, b"1;" + b"x" * 9000), (E.BODY_TOO_LARGE,)
    )
    yield Hostile(
        "chunk of zeros", endless(_CHUNKED, b"0" * 9000), (E.PROTOCOL, E.TRANSFER_TIMEOUT)
    )
    tiny = endless(_CHUNKED, b"1\r\nx\r\n" * 2000)
    yield Hostile("chunks of a byte", tiny, (E.PROTOCOL,))
    trailers = endless(_CHUNKED + b"0\r\n", b"X-Trailer: y\r\n" * 1000)
    yield Hostile("endless trailers", trailers, (E.HEADERS_TOO_LARGE,))


def _resets() -> Iterator[Hostile]:
    ends = (E.CONNECTION_RESET, E.PROTOCOL, E.EMPTY_RESPONSE)
    for size in range(len(OK)):
        yield Hostile(f"reset after {size} bytes", reset_after(OK, count(size, 0)), ends)
    yield Hostile("mute", mute, (E.FIRST_BYTE_TIMEOUT,))


def http() -> list[Hostile]:
    """All of them."""
    return [*_bodies(), *_heads(), *_redirects(), *_chunks(), *_resets()]
