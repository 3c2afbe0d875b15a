"""Does a server that sends frames without end, and says nothing by them, end its own check soon?"""

import asyncio
import base64
import hashlib

import pytest

from tests.support.http2 import frame
from tests.support.servers import Script, serve
from uptimeo.domain.result import ErrorType
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.grpc.probe import GrpcOptions, GrpcProbe
from uptimeo.probes.websocket.options import WebSocketOptions
from uptimeo.probes.websocket.probe import WebSocketProbe

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accepting(after: bytes) -> Script:
    """A WebSocket server that accepts, and then sends these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in asked.split(b"\r\n")[1:] if b": " in line)
        key = next(value for name, value in lines.items() if name.lower() == b"sec-websocket-key")
        token = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(head + b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n" + after)
        await reader.read(-1)

    return script


async def conversed(after: bytes) -> tuple[ErrorType | None, str]:
    async with serve(accepting(after)) as server:
        options = WebSocketOptions.model_validate(
            {"url": server.url().replace("http", "ws"), "steps": [{"expect": "hello"}]}
        )
        result = await WebSocketProbe().probe(options, ProbeContext(timeout_ms=2000))
    if result.failure is None:
        return None, ""
    return result.failure.type, result.failure.message


async def test_a_message_after_some_pings_is_heard() -> None:
    assert await conversed(b"\x89\x00" * 500 + b"\x81\x05hello") == (None, "")


@pytest.mark.parametrize("frames", [b"\x89\x00" * 5000, b"\x01\x00" + b"\x00\x00" * 5000])
async def test_frames_without_end_are_too_many(frames: bytes) -> None:
    kind, message = await conversed(frames)

    assert kind is ErrorType.BODY_TOO_LARGE
    assert "more than 1000 frames" in message


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (b"\x81\x85abcdhello", "masked"),
        (b"\x83\x00", "opcode"),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "length"),
    ],
)
async def test_what_is_no_frame_is_not_told_as_a_close(after: bytes, reason: str) -> None:
    kind, message = await conversed(after)

    assert kind is ErrorType.PROTOCOL
    assert "no WebSocket frame" in message
    assert reason in message


async def test_a_close_is_told_with_its_code() -> None:
    kind, message = await conversed(b"\x88\x02\x03\xf3")

    assert kind is ErrorType.UNEXPECTED
    assert "closed the WebSocket: 1011" in message


@pytest.mark.parametrize("unit", [frame(6, 0, 0, b"12345678"), frame(4, 0, 0, b"")])
async def test_grpc_frames_without_end_are_too_many(unit: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(frame(4, 0, 0, b"") + unit * 5000)
        await reader.read(-1)

    async with serve(script) as server:
        options = GrpcOptions(url=server.url("").replace("http", "grpc"))
        result = await GrpcProbe().probe(options, ProbeContext(timeout_ms=2000))

    assert result.failure is not None
    assert result.failure.type is ErrorType.BODY_TOO_LARGE
    assert "more than 300 frames" in result.failure.message
