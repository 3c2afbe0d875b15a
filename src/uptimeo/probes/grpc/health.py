"""What do the two messages of grpc.health.v1 look like as bytes? Pure.

Two fields of protocol buffers, one of each message, need no code generator:
https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto
"""

from collections.abc import Iterator
from enum import IntEnum

PATH = "/grpc.health.v1.Health/Check"
_PREFIX = 5  # a byte for compression, four for the length
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


class Serving(IntEnum):
    """What a server says of a service."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def request(service: str) -> bytes:
    """A framed HealthCheckRequest; `service` is its field 1."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def serving(body: bytes) -> Serving | int:
    """The status in a framed HealthCheckResponse; a number if it is none that we know.

    Raises ValueError that says what is wrong with the bytes.
    """
    if len(body) < _PREFIX:
        raise ValueError(f"{len(body)} bytes are no message")
    if body[0] != 0:
        raise ValueError("the message is compressed, which was not asked for")
    length = int.from_bytes(body[1:_PREFIX], "big")
    message = body[_PREFIX:]
    if len(message) != length:
        raise ValueError(f"the message has {len(message)} of {length} bytes")
    found = [value for number, value in _numbers(message) if number == 1]
    status = found[-1] if found else 0
    return Serving(status) if status in set(Serving) else status


def _numbers(message: bytes) -> Iterator[tuple[int, int]]:
    """The varint fields by number; fields of other kinds are passed over."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, value
        elif kind == _BYTES:
            length, at = _read_varint(message, at)
            at += length
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field has the unknown wire type {kind}")
    if at > len(message):
        raise ValueError("the message ends within a field")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("the message ends within a number")
