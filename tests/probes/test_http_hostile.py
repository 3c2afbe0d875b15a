"""Does a server that means harm end its own check, by its own error type, and nothing else?"""

import asyncio
import gzip
import resource
import struct
import zlib
from collections.abc import Callable

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import (
    OK,
    Script,
    Site,
    answering,
    answering_then_reset,
    answering_then_stalled,
    endless,
    response,
    serve,
)
from uptimeo.domain.result import ErrorType, Outcome, ProbeResult

BUDGET_MS = 400
GZIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
MEGABYTE = 1 << 20
# 64 MiB of zeros, as the program `brotli` packs them with a window of 4 MiB, and of 16 MiB.
BROTLI_BOMB = bytes.fromhex(
    "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc1"
    "3f0110870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c"
    "00d0bdffe3ffff1ffc1300715800a07bff37"
)
WIDE_BROTLI_BOMB = bytes.fromhex(
    "cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3fffffffe19f0088c32200ddfb7ffeffffc3"
    "3f0110870500baf7ff03"
)


def gzipped(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MEGABYTE)
    return b"".join(packer.compress(block) for _ in range(size // MEGABYTE)) + packer.flush()


async def timed(url: str, **options: object) -> tuple[ProbeResult, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await check(url, timeout_ms=BUDGET_MS, **options)
    return result, (loop.time() - began) * 1000


@pytest.mark.parametrize(
    ("wanted", "encoding", "packed"),
    [
        (True, "gzip", gzip.compress(b"hello", mtime=0)),
        (True, "x-gzip", gzip.compress(b"hello", mtime=0)),
        ("deflate", "deflate", zlib.compress(b"hello")),
        ("br", "br", bytes.fromhex("0b028068656c6c6f03")),
        (True, "identity", b"hello"),
    ],
)
async def test_a_compressed_body_is_asked_for_and_decompressed(
    wanted: bool | str, encoding: str, packed: bytes
) -> None:
    site = Site(pages={"/": response("200 OK", f"Content-Encoding: {encoding}", body=packed)})
    async with serve(site) as server:
        result = up(await check(server.url(), compressed=wanted))

    asked = "gzip, deflate" if wanted is True else wanted
    assert site.received[0].header("accept-encoding") == asked
    assert result.exchange is not None
    assert result.exchange.body_start == b"hello"
    assert result.exchange.size_bytes == 5


async def test_nothing_is_decompressed_that_was_not_asked_for() -> None:
    packed = gzip.compress(b"hello", mtime=0)
    site = Site(pages={"/": response("200 OK", "Content-Encoding: gzip", body=packed)})
    async with serve(site) as server:
        result = up(await check(server.url()))

    assert site.received[0].header("accept-encoding") is None
    assert result.exchange is not None
    assert result.exchange.body_start == packed


@pytest.mark.parametrize(
    ("encoding", "bomb"), [("gzip", gzipped(256 * MEGABYTE)), ("br", BROTLI_BOMB)]
)
async def test_a_bomb_ends_by_its_own_name_and_takes_no_memory(encoding: str, bomb: bytes) -> None:
    page = response("200 OK", f"Content-Encoding: {encoding}", body=bomb)
    async with serve(Site(pages={"/": page})) as server:
        wanted = encoding == "gzip" or encoding
        await check(server.url(), compressed=wanted)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(10):
            result = await check(server.url(), compressed=wanted)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    failure = failure_of(result, ErrorType.DECOMPRESSION)
    assert "1048576 bytes when decompressed" in failure.message
    assert server.shown in failure.message
    assert grown_kib < 20_000


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("Content-Encoding: gzip, gzip",), "gzip, gzip"),
        (("Content-Encoding: gzip", "Content-Encoding: identity, deflate"), "gzip, deflate"),
        (("Content-Encoding: br",), "br"),
        (("Content-Encoding: zstd",), "zstd"),
    ],
)
async def test_what_was_compressed_twice_or_otherwise_is_not_unpacked(
    lines: tuple[str, ...], told: str
) -> None:
    async with serve(Site(pages={"/": response("200 OK", *lines, body=BROTLI_BOMB)})) as server:
        result = await check(server.url(), compressed=True)

    message = failure_of(result, ErrorType.DECOMPRESSION).message
    assert f"{server.shown} is not decompressed: it came as {told}, and gzip or" in message


@pytest.mark.parametrize(
    ("encoding", "bomb"), [("gzip", gzipped(256 * MEGABYTE)), ("br", BROTLI_BOMB)]
)
async def test_fifty_bombs_at_once_take_no_memory_either(encoding: str, bomb: bytes) -> None:
    page = response("200 OK", f"Content-Encoding: {encoding}", body=bomb)
    async with serve(Site(pages={"/": page})) as server:
        await check(server.url(), compressed=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        checks = (check(server.url(), compressed=True) for _ in range(50))
        for result in await asyncio.gather(*checks):
            failure_of(result, ErrorType.DECOMPRESSION)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert grown_kib < 20_000


async def test_a_brotli_window_that_takes_much_memory_is_refused() -> None:
    page = response("200 OK", "Content-Encoding: br", body=WIDE_BROTLI_BOMB)
    async with serve(Site(pages={"/": page})) as server:
        result = await check(server.url(), compressed="br")

    assert "window is of 2^24 bytes" in failure_of(result, ErrorType.DECOMPRESSION).message


@pytest.mark.parametrize("body", [b"\x0b\xff\xff\xff", bytes.fromhex("0b0280686564")])
async def test_broken_brotli_is_a_protocol_error(body: bytes) -> None:
    page = response("200 OK", "Content-Encoding: br", body=body)
    async with serve(Site(pages={"/": page})) as server:
        result = await check(server.url(), compressed="br")

    assert "cannot be decompressed" in failure_of(result, ErrorType.PROTOCOL).message


@pytest.mark.parametrize(
    "body", [b"not gzip at all", gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 9]
)
async def test_a_broken_compression_is_a_protocol_error(body: bytes) -> None:
    page = response("200 OK", "Content-Encoding: gzip", body=body)
    async with serve(Site(pages={"/": page})) as server:
        result = await check(server.url(), compressed=True)

    assert server.shown in failure_of(result, ErrorType.PROTOCOL).message


EMPTY_BLOCKS = b"\x00\x00\x00\xff\xff" * 2000


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
            ErrorType.HEADERS_TOO_LARGE,
            id="a million headers",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 9000),
            ErrorType.HEADERS_TOO_LARGE,
            id="a header line without an end",
        ),
        pytest.param(
            endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000),
            ErrorType.HEADERS_TOO_LARGE,
            id="hints without an end",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
            ErrorType.BODY_TOO_LARGE,
            id="a body without an end",
        ),
        pytest.param(
            endless(GZIP_HEAD + gzip.compress(b"")[:10], EMPTY_BLOCKS),
            ErrorType.BODY_TOO_LARGE,
            id="compressed nothing without an end",
        ),
        pytest.param(
            answering(
                b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b"."] * 99, between_s=0.05
            ),
            ErrorType.TRANSFER_TIMEOUT,
            id="a dripping body",
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 99, between_s=0.05),
            ErrorType.TRANSFER_TIMEOUT,
            id="dripping headers",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 9000),
            ErrorType.BODY_TOO_LARGE,
            id="a chunk header without an end",
        ),
        pytest.param(
            answering(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx"
            ),
            ErrorType.PROTOCOL,
            id="a chunk too large for a number",
        ),
        pytest.param(
            endless(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"X-Trailer: y\r\n" * 1000,
            ),
            ErrorType.HEADERS_TOO_LARGE,
            id="trailers without an end",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 999),
            ErrorType.PROTOCOL,
            id="a body in crumbs",
        ),
        pytest.param(
            answering(response("302 Found", "Location: /")),
            ErrorType.TOO_MANY_REDIRECTS,
            id="redirects in a ring",
        ),
    ],
)
async def test_what_does_not_end_is_ended_within_the_budget(
    script: Script, expected: ErrorType
) -> None:
    async with serve(script) as server:
        result, took_ms = await timed(server.url(), compressed=True)

    failure = failure_of(result, expected)
    assert server.shown in failure.message
    assert took_ms < BUDGET_MS + 200


@pytest.mark.parametrize("size", [1, 2, 5, 9, 16, 17, 18, 30, 37, 38, 39])
@pytest.mark.parametrize("end", [answering_then_reset, answering, answering_then_stalled])
async def test_an_answer_that_breaks_off_at_any_byte_is_down(
    size: int, end: Callable[[bytes], Script]
) -> None:
    async with serve(end(OK[:size])) as server:
        result, took_ms = await timed(server.url())

    assert result.failure is not None
    assert result.outcome is Outcome.DOWN
    assert server.shown in result.failure.message
    assert took_ms < BUDGET_MS + 200


RECORD = b"\x16\x03\x03"


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x00" * 1000,
        RECORD + struct.pack(">H", 4) + b"\x02\x00\x00\x00",
        RECORD + struct.pack(">H", 60_000) + b"\x0b" * 60_000,
        RECORD + struct.pack(">H", 9) + b"\x0b\x00\x00\x05\x00\x00\x02\x00\x01",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x15\x03\x03\x00\x02\x01\x00",
    ],
    ids=["http", "zeros", "empty hello", "huge record", "certificate first", "alert", "close"],
)
async def test_tls_junk_is_a_tls_error(junk: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(junk)
        await writer.drain()
        await reader.read(65_536)

    async with serve(script) as server:
        result, took_ms = await timed(server.url().replace("http", "https"))

    assert server.shown in failure_of(result, ErrorType.TLS).message
    assert took_ms < BUDGET_MS + 200


async def test_an_endless_handshake_ends_with_the_budget() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for _ in range(100):
            writer.write(b"\x16\x03\x03\x40\x00")
            await asyncio.sleep(0.05)

    async with serve(script) as server:
        result, took_ms = await timed(server.url().replace("http", "https"))

    failure_of(result, ErrorType.TLS_TIMEOUT)
    assert took_ms < BUDGET_MS + 200


async def test_a_hostile_site_disturbs_no_other_check() -> None:
    authority = Authority.new()
    bomb = response("200 OK", "Content-Encoding: gzip", body=gzipped(64 * MEGABYTE))
    async with (
        serve(Site(pages={"/": bomb})) as hostile,
        serve(Site(), tls=authority.valid()) as good,
    ):
        attacks = [asyncio.create_task(check(hostile.url(), compressed=True)) for _ in range(10)]
        for _ in range(10):
            up(await check(good.url(), ca_pem=authority.pem))
        for attack in attacks:
            failure_of(await attack, ErrorType.DECOMPRESSION)
