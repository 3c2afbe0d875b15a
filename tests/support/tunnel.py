"""Who answers a ping as no kernel would? A network device whose other end is a script.

Everything that is sent to 10.215.0.0/16 or fd15:1::/64 comes to the script as a packet, and what
the script returns arrives as if it came from there.
"""

import asyncio
import fcntl
import os
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.wires import entered, run

NEAR, NEAR6 = "10.215.0.1", "fd15:1::ffff"
_ICMP, _ICMP6 = 1, 58
# Kinds of ICMP messages, by the version of IP.
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

Script = Callable[[bytes], Iterable[bytes]]


class Tunnel:
    """The device; its namespace is entered with `inside`."""

    def __init__(self, namespace: str, descriptor: int) -> None:
        self._namespace = namespace
        self.descriptor = descriptor

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In here, this thread's new sockets are where the device is."""
        with entered(self._namespace):
            yield

    @contextmanager
    def answering(self, script: Script) -> Iterator[None]:
        """Hand each packet to the script, in the running loop."""
        loop = asyncio.get_running_loop()

        def answer() -> None:
            for reply in script(os.read(self.descriptor, 65_536)):
                os.write(self.descriptor, reply)

        loop.add_reader(self.descriptor, answer)
        try:
            yield
        finally:
            loop.remove_reader(self.descriptor)


@contextmanager
def tunnel() -> Iterator[Tunnel]:
    """A namespace with the device, gone afterwards. Raises OSError where there is no such thing."""
    name = f"uptimeo-tun-{os.getpid()}-{secrets.token_hex(2)}"
    run("ip", "netns", "add", name)
    try:
        with entered(name):
            descriptor = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
        try:
            wanted = struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(descriptor, _TUNSETIFF, wanted)
            run("ip", "-n", name, "address", "add", f"{NEAR}/16", "dev", "tun0")
            run("ip", "-n", name, "address", "add", f"{NEAR6}/64", "dev", "tun0", "nodad")
            run("ip", "-n", name, "link", "set", "tun0", "up", "txqueuelen", "5000")
            yield Tunnel(name, descriptor)
        finally:
            os.close(descriptor)
    finally:
        run("ip", "netns", "delete", name)


def echo_reply(
    packet: bytes, *, source: bytes | None = None, payload: bytes | None = None
) -> bytes:
    """The reply to an echo request; from another address, or with other data, if given."""
    version, message = packet[0] >> 4, _message(packet)
    sender, receiver = source or destination(packet), _source(packet)
    data = message[8:] if payload is None else payload
    bare = bytes([_REPLY[version], 0, 0, 0]) + message[4:8] + data
    if version == 4:
        answer = bare[:2] + checksum(bare) + bare[4:]
        return ip_header(_ICMP, sender, receiver, len(answer)) + answer
    pseudo = sender + receiver + struct.pack("!II", len(bare), _ICMP6)
    answer = bare[:2] + checksum(pseudo + bare) + bare[4:]
    return struct.pack("!IHBB", 6 << 28, len(answer), _ICMP6, 64) + sender + receiver + answer


def is_echo_request(packet: bytes) -> bool:
    """Whether a script should answer that packet at all."""
    if len(packet) < 28:
        return False
    version = packet[0] >> 4
    protocol = packet[6] if version == 6 else packet[9]
    wanted = {4: (_ICMP, _REQUEST[4]), 6: (_ICMP6, _REQUEST[6])}.get(version)
    return (protocol, *_message(packet)[:1]) == wanted


def destination(packet: bytes) -> bytes:
    """To whom it is sent."""
    return packet[24:40] if packet[0] >> 4 == 6 else packet[16:20]


def _source(packet: bytes) -> bytes:
    return packet[8:24] if packet[0] >> 4 == 6 else packet[12:16]


def _message(packet: bytes) -> bytes:
    return packet[40:] if packet[0] >> 4 == 6 else packet[20:]


def ip_header(protocol: int, source: bytes, destination: bytes, length: int) -> bytes:
    """A header of IPv4 without options for that many bytes."""
    bare = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, protocol, 0)
    bare += source + destination
    return bare[:10] + checksum(bare) + bare[12:]


def checksum(data: bytes) -> bytes:
    """RFC 1071, word by word."""
    total = sum(
        int.from_bytes(data[at : at + 2].ljust(2, b"\x00"), "big") for at in range(0, len(data), 2)
    )
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (0xFFFF - total).to_bytes(2, "big")
