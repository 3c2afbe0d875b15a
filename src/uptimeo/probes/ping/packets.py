"""What do the packets of a ping look like, and what do routers say of them? Pure."""

import ipaddress
import struct
from dataclasses import dataclass

from uptimeo.domain.result import ErrorType

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
# Linux's `struct sock_extended_err`: errno, origin, type, code, info, data.
_EXTENDED = struct.Struct("=IBBBxII")
_ORIGINS = {2: 4, 3: 6}
_AF_INET, _AF_INET6 = 2, 10

_UNREACHABLE = ErrorType.CONNECT_UNREACHABLE
_MEANINGS = {
    (4, 3, 0): (_UNREACHABLE, "network unreachable"),
    (4, 3, 1): (_UNREACHABLE, "host unreachable"),
    (4, 3, 2): (_UNREACHABLE, "protocol unreachable"),
    (4, 3, 3): (_UNREACHABLE, "port unreachable"),
    (4, 3, 4): (ErrorType.PACKET_TOO_BIG, "fragmentation needed and not allowed"),
    (4, 3, 5): (_UNREACHABLE, "source route failed"),
    (4, 3, 6): (_UNREACHABLE, "network unknown"),
    (4, 3, 7): (_UNREACHABLE, "host unknown"),
    (4, 3, 9): (_UNREACHABLE, "network administratively prohibited"),
    (4, 3, 10): (_UNREACHABLE, "host administratively prohibited"),
    (4, 3, 13): (_UNREACHABLE, "communication administratively prohibited"),
    (4, 11, 0): (ErrorType.TTL_EXCEEDED, "time to live exceeded in transit"),
    (4, 11, 1): (ErrorType.NO_REPLY, "fragments not reassembled in time"),
    (6, 1, 0): (_UNREACHABLE, "no route to the destination"),
    (6, 1, 1): (_UNREACHABLE, "communication administratively prohibited"),
    (6, 1, 2): (_UNREACHABLE, "beyond the scope of the source address"),
    (6, 1, 3): (_UNREACHABLE, "address unreachable"),
    (6, 1, 4): (_UNREACHABLE, "port unreachable"),
    (6, 1, 5): (_UNREACHABLE, "source address failed a policy"),
    (6, 1, 6): (_UNREACHABLE, "route rejected"),
    (6, 2, 0): (ErrorType.PACKET_TOO_BIG, "packet too big"),
    (6, 3, 0): (ErrorType.TTL_EXCEEDED, "hop limit exceeded in transit"),
    (6, 3, 1): (ErrorType.NO_REPLY, "fragments not reassembled in time"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A request or its reply, without what IP adds."""

    identifier: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What `router`, or the target itself, reports of a request, and what it quotes of it."""

    type: ErrorType
    text: str
    router: str
    request: Echo


def request(version: int, echo: Echo) -> bytes:
    """The ICMP message for that version of IP; the checksum of v6 is added by the kernel."""
    first = _REQUEST[version]
    bare = _HEADER.pack(first, 0, 0, echo.identifier, echo.sequence) + echo.payload
    checksum = _checksum(bare) if version == 4 else 0
    return _HEADER.pack(first, 0, checksum, echo.identifier, echo.sequence) + echo.payload


def reply(version: int, message: bytes) -> Echo | None:
    """The reply that an ICMP message is; None if it is anything else."""
    return _echo(REPLY[version], message)


def without_ip_header(packet: bytes) -> bytes:
    """The ICMP message in a packet of IPv4, as a raw socket delivers it."""
    return packet[(packet[0] & 0x0F) * 4 :] if packet else b""


def complaint(extended: bytes, quoted: bytes) -> Complaint | None:
    """What the kernel's error queue holds: an error of ICMP, and the start of what we sent.

    None for an error of the host itself, and for one that quotes no request.
    """
    if len(extended) < _EXTENDED.size:
        return None
    _, origin, kind, code, info, _ = _EXTENDED.unpack_from(extended)
    version = _ORIGINS.get(origin)
    if version is None or (echo := _echo(_REQUEST[version], quoted)) is None:
        return None
    otherwise = (_UNREACHABLE, f"ICMP error of type {kind}, code {code}")
    error, text = _MEANINGS.get((version, kind, code), otherwise)
    if error is ErrorType.PACKET_TOO_BIG:
        text = f"{text}: at most {info} bytes pass"
    router = _address(extended[_EXTENDED.size :]) or "a router"
    return Complaint(type=error, text=text, router=router, request=echo)


def _echo(kind: int, message: bytes) -> Echo | None:
    if len(message) < _HEADER.size:
        return None
    found, code, _, identifier, sequence = _HEADER.unpack_from(message)
    if (found, code) != (kind, 0):
        return None
    return Echo(identifier=identifier, sequence=sequence, payload=message[_HEADER.size :])


def _checksum(message: bytes) -> int:
    """RFC 1071: the sum of the 16-bit words in ones' complement is the number modulo 65535."""
    even = message + b"\x00" * (len(message) % 2)
    return 0xFFFF - int.from_bytes(even, "big") % 0xFFFF


def _address(sockaddr: bytes) -> str | None:
    family = struct.unpack_from("=H", sockaddr)[0] if len(sockaddr) >= 2 else 0
    if family == _AF_INET and len(sockaddr) >= 8:
        return str(ipaddress.IPv4Address(sockaddr[4:8]))
    if family == _AF_INET6 and len(sockaddr) >= 24:
        return str(ipaddress.IPv6Address(sockaddr[8:24]))
    return None
