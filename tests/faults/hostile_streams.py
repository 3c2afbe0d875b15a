"""What can a server do that is no web server? Endpoints for ports, mail, DNS and more."""

import base64
import hashlib
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from tests.faults.hostile import Hostile, dripping, flooding, reset_after, saying
from tests.support.http2 import frame
from tests.support.servers import Script, mute
from uptimeo.domain.result import ErrorType as E

_BROKEN = (E.CONNECTION_RESET, E.EMPTY_RESPONSE, E.PROTOCOL, E.UNEXPECTED)
_LATE = (E.FIRST_BYTE_TIMEOUT, E.TRANSFER_TIMEOUT, E.UNEXPECTED, E.TIMEOUT)
_BANNERS = {
    "tcp": b"220 ready\r\n",
    "smtp": b"220 mail.example ready\r\n",
    "imap": b"* OK ready\r\n",
    "pop3": b"+OK ready\r\n",
}
_LINES = {
    "tcp": b"220-more\r\n",
    "smtp": b"220-more\r\n",
    "imap": b"* CAPABILITY IMAP4rev1\r\n",
    "pop3": b"more\r\n",
}
_NEVER = {"steps": [{"expect_regex": "never said"}]}
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def _greetings() -> Iterator[Hostile]:
    """Of servers that speak first."""
    for kind, banner in _BANNERS.items():
        url, line = f"{kind}://127.0.0.1:{{port}}", _LINES[kind]
        options: dict[str, Any] = _NEVER if kind == "tcp" else {}

        def made(name: str, script: Script, *ends: E) -> Hostile:
            return Hostile(name, script, ends, kind, url, options)  # noqa: B023 - used at once

        flood = flooding(banner, line * 1000)
        yield made("banner flood", flood, E.BODY_TOO_LARGE, E.UNEXPECTED)
        yield made("line without end", flooding(b"", b"2" * 9000), E.BODY_TOO_LARGE, E.UNEXPECTED)
        yield made("dripping banner", dripping(b"", listens=False), *_LATE)
        yield made("mute", mute, *_LATE)
        resets = reset_after(banner, cycle(range(len(banner))), listens=False)
        yield made("reset within the banner", resets, *_BROKEN)
        if kind == "tcp":
            continue
        answers = flooding(banner, b"", listens=False), saying(banner, line * 100_000)
        yield made("endless capabilities", answers[1], E.BODY_TOO_LARGE, *_LATE)
        yield made("dripping capabilities", dripping(banner, b"2", listens=False), *_BROKEN, *_LATE)
    yield Hostile(
        "STARTTLS, then more",
        saying(b"220 ready\r\n", b"250 STARTTLS\r\n", b"220 go\r\n250 injected\r\n"),
        (E.STARTTLS, E.TLS, E.TLS_TIMEOUT),
        "smtp",
        "smtp://127.0.0.1:{port}",
        {"security": "starttls"},
    )


def _websockets() -> Iterator[Hostile]:
    expects = {"steps": [{"expect": "never said"}]}

    def made(name: str, script: Script, *ends: E) -> Hostile:
        return Hostile(name, script, ends, "ws", "ws://127.0.0.1:{port}/", expects)

    yield made("mute", mute, E.FIRST_BYTE_TIMEOUT)
    yield made("headers without end", flooding(_SWITCH, b"X-A: b\r\n" * 1000), *_TOO_MUCH)
    yield made("header without end", flooding(_SWITCH + b"X-A: ", b"x" * 9000), *_TOO_MUCH)
    yield made("dripping handshake", dripping(_SWITCH), *_LATE)
    for name, after, ends in (
        ("frame that lies about 2^63 bytes", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", _LIES),
        ("frame that lies about 1 GiB", b"\x81\x7f" + struct.pack(">Q", 1 << 30), _LIES),
        ("frame with a needless length", b"\x81\x7e\x00\x05hello", (E.PROTOCOL,)),
        ("masked frame", b"\x81\x85abcdhello", (E.PROTOCOL,)),
        ("reserved opcode", b"\x83\x00", (E.PROTOCOL,)),
        ("long ping", b"\x89\x7e\x01\x00" + b"x" * 256, (E.PROTOCOL,)),
        ("continued nothing", b"\x80\x00", (E.PROTOCOL,)),
        ("text that is none", b"\x81\x02\xff\xfe", (E.PROTOCOL,)),
    ):
        yield made(name, _accepting(after), *ends)
    for name, unit in (
        ("endless pings", b"\x89\x00" * 1000),
        ("endless fragments", b"\x01\x01x" + b"\x00\x01x" * 1000),
        ("endless empty fragments", b"\x01\x00" + b"\x00\x00" * 1000),
        ("endless message", b"\x81\x7f" + struct.pack(">Q", 1 << 40) + b"x" * 60_000),
    ):
        yield made(
            name,
            _accepting(unit, rest=unit[-1000:] if name != "endless fragments" else unit[-3000:]),
            *_TOO_MUCH,
            E.FIRST_BYTE_TIMEOUT,
        )


_TOO_MUCH = (E.BODY_TOO_LARGE, E.PROTOCOL, E.HEADERS_TOO_LARGE)
_LIES = (E.PROTOCOL, E.FIRST_BYTE_TIMEOUT, E.BODY_TOO_LARGE)


def _accepting(after: bytes, rest: bytes = b"") -> Script:
    """Accept the handshake, whatever its key; then `after`, and `rest` for ever."""

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        key = asked.lower().split(b"sec-websocket-key:")[1].split(b"\r\n")[0].strip()
        at = asked.lower().index(key)
        token = accept_token(asked[at : at + len(key)])
        writer.write(_SWITCH + b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n" + after)
        while rest:
            writer.write(rest)
            await writer.drain()
        await reader.read(-1)

    return script


def accept_token(key: bytes) -> bytes:
    """RFC 6455, 4.2.2."""
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    return base64.b64encode(digest.digest())


def _http2() -> Iterator[Hostile]:
    settings = frame(4, 0, 0, b"")
    forms: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("grpc", "grpc://127.0.0.1:{port}", {}),
        ("http", "http://127.0.0.1:{port}/", {"http_version": "2"}),
    )
    units = {
        "endless pings": frame(6, 0, 0, b"12345678") * 500,
        "endless settings": settings * 500,
        "endless continuations": frame(9, 0, 1, b"\x00\x01a\x01b") * 500,
        "endless data": frame(0, 0, 1, b"x" * 8000) * 8,
        "endless priorities": frame(2, 0, 1, b"\x00\x00\x00\x03\x10") * 500,
        "endless unknown frames": frame(77, 0, 0, b"x" * 100) * 500,
    }
    starts = {
        "endless continuations": frame(1, 0, 1, b"\x88"),
        "endless data": frame(1, 4, 1, b"\x88"),
    }
    ends = (*_BROKEN, E.BODY_TOO_LARGE, E.HEADERS_TOO_LARGE, E.FIRST_BYTE_TIMEOUT)
    for kind, url, options in forms:
        for name, unit in units.items():
            script = flooding(settings + starts.get(name, b""), unit, listens=True)
            yield Hostile(name, script, (*ends, E.TRANSFER_TIMEOUT, E.SEND), kind, url, options)
        bomb = frame(1, 4, 1, b"\x88\x40\x01a\x7f\xe1\x1e" + b"x" * 4000 + b"\xbe" * 12_000)
        yield Hostile(
            "HPACK bomb", saying(b"", settings + bomb), (*ends, *_LATE), kind, url, options
        )
        frame_that_lies = saying(b"", settings + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
        yield Hostile("frame that lies", frame_that_lies, (*ends, *_LATE), kind, url, options)
        yield Hostile("mute", mute, _LATE, kind, url, options)
    yield Hostile("dripping", dripping(settings, b"\x00"), _LATE, *forms[0])


def _sql() -> Iterator[Hostile]:
    def made(name: str, script: Script, *ends: E) -> Hostile:
        url = "postgresql://user@127.0.0.1:{port}/base?sslmode=disable"
        return Hostile(name, script, ends, "sql", url)

    in_, ready = b"R\x00\x00\x00\x08\x00\x00\x00\x00", b"Z\x00\x00\x00\x05I"
    notice = b"N\x00\x00\x00\x0dMhello\x00\x00" + b"x"
    status = b"S\x00\x00\x00\x08a\x00b\x00"
    row = b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01x"
    described = (
        b"T\x00\x00\x00\x1a\x00\x01a\x00" + bytes(6) + b"\x00\x00\x00\x19\xff\xff" + b"\xff" * 4
    )
    ends = (E.BODY_TOO_LARGE, E.PROTOCOL, E.TIMEOUT, E.QUERY, *_BROKEN)
    yield made("mute", mute, E.TIMEOUT)
    yield made("junk", flooding(b"", b"\x00\xff" * 4000, listens=True), *ends)
    lies = saying(b"", b"R\x7f\xff\xff\xff\x00\x00\x00\x00")
    yield made("message that lies about 2 GiB", lies, *ends)
    yield made("endless notices", flooding(in_, notice * 500, listens=True), *ends)
    yield made("endless parameters", flooding(in_, status * 500, listens=True), *ends)
    yield made("dripping login", dripping(b"R\x00"), *ends)
    rows = _rows(in_ + ready, described, row * 500)
    yield made("endless rows", rows, *ends)
    begun = b"C\x00\x00\x00\x0aBEGIN\x00"
    yield made(
        "row that lies",
        _rows(in_ + ready, begun + ready + described + b"D\x3f\xff\xff\xff\x00\x01", b""),
        *ends,
    )


def _rows(login: bytes, then: bytes, rest: bytes) -> Script:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(login)
        await reader.read(65_536)
        writer.write(then)
        while rest:
            writer.write(rest)
            await writer.drain()
        await reader.read(-1)

    return script


def _silent(_wire: bytes) -> Iterator[bytes]:
    yield from ()


def _strangers(wire: bytes) -> Iterator[bytes]:
    for _ in range(2000):
        yield b"\x00\x00" + wire[2:]


def _junk(_wire: bytes) -> Iterator[bytes]:
    for _ in range(2000):
        yield b"\xff" * 500


def _cut(wire: bytes) -> Iterator[bytes]:
    yield wire[:2] + b"\x86\x80" + wire[4:]


def _huge(wire: bytes) -> Iterator[bytes]:
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01"
    head = wire[:2] + b"\x84\x00" + wire[4:6] + struct.pack(">H", 3800) + wire[8:12]
    yield head + _question(wire) + record * 3800


def _pointers(wire: bytes) -> Iterator[bytes]:
    head = wire[:2] + b"\x84\x00" + wire[4:6] + struct.pack(">H", 5000) + wire[8:12]
    question = _question(wire)
    first = len(head + question)
    chain = b"".join(
        b"\x01a" + struct.pack(">H", 0xC000 | (12 if not n else first + 4 * (n - 1)))
        for n in range(120)
    )
    tail = b"\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01"
    yield (
        head
        + question
        + b"".join(
            (chain[4 * n : 4 * n + 4] if n < 1 else struct.pack(">H", 0xC000 | first)) + tail
            for n in range(3900)
        )
    )


def _question(wire: bytes) -> bytes:
    end = wire.index(b"\x00", 12) + 5
    return wire[12:end]


def _over_tcp(answer: Callable[[bytes], Iterator[bytes]]) -> Script:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        asked = await reader.read(65_536)
        for made in answer(asked[2:]):
            writer.write(struct.pack(">H", len(made[:65_535])) + made[:65_535])
        await reader.read(-1)

    return script


def _dns() -> Iterator[Hostile]:
    url = "dns://127.0.0.1:{port}/a.example"
    tcp = {"transport": "tcp"}
    ends = (E.PROTOCOL, E.BODY_TOO_LARGE, E.FIRST_BYTE_TIMEOUT, E.TRANSFER_TIMEOUT)
    udp = (E.UNEXPECTED, E.NO_REPLY)
    yield Hostile("UDP: silence", mute, udp, "dns", url, datagrams=_silent)
    yield Hostile("UDP: flood of strangers", mute, udp, "dns", url, datagrams=_strangers)
    yield Hostile("UDP: flood of junk", mute, udp, "dns", url, datagrams=_junk)
    yield Hostile("cut short for ever", _over_tcp(_cut), ends, "dns", url, datagrams=_cut)
    yield Hostile("64 KiB of records", _over_tcp(_huge), ends, "dns", url, tcp)
    yield Hostile("64 KiB of pointers", _over_tcp(_pointers), ends, "dns", url, tcp)
    yield Hostile("length that lies", saying(b"", b"\xff\xffshort"), ends, "dns", url, tcp)
    yield Hostile("TCP: dripping", dripping(b"\xff\xff", b"\x00"), ends, "dns", url, tcp)
    yield Hostile("TCP: flood", flooding(b"", b"\x00\x00" * 4000), ends, "dns", url, tcp)


def streams() -> list[Hostile]:
    """All of them."""
    return [*_greetings(), *_websockets(), *_http2(), *_sql(), *_dns()]
