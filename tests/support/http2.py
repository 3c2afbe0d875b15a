"""A server that speaks just enough HTTP/2: every stream that asks gets a 200 without a body."""

import asyncio

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS = 1, 4
_ACK, _END_STREAM_AND_HEADERS = 1, 5
_STATUS_200 = b"\x88"  # RFC 7541, appendix A: entry 8 of the static table


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A script for `serve`; the client has to begin with HTTP/2 at once."""
    assert await reader.readexactly(len(_PREFACE)) == _PREFACE
    writer.write(frame(_SETTINGS, 0, 0, b""))
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(frame(_SETTINGS, _ACK, 0, b""))
        if kind == _HEADERS:
            writer.write(frame(_HEADERS, _END_STREAM_AND_HEADERS, stream, _STATUS_200))
        await writer.drain()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (RFC 9113, 4.1)."""
    size = len(payload).to_bytes(3, "big")
    return size + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
