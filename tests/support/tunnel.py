"""Who answers a ping as no kernel would? A network device whose other end is a script.

Everything that is sent to 10.215.0.0/16 comes to the script as a packet of IPv4, and what the
script returns arrives as if it came from there.
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

NEAR = "10.215.0.1"
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
            run("ip", "-n", name, "link", "set", "tun0", "up", "txqueuelen", "5000")
            yield Tunnel(name, descriptor)
        finally:
            os.close(descriptor)
    finally:
        run("ip", "netns", "delete", name)


def echo_reply(
    packet: bytes, *, source: bytes | None = None, payload: bytes | None = None
) -> bytes:
    """The reply to an echo request of IPv4; from another address, or with other data, if given."""
    header, message = packet[:20], packet[20:]
    data = message[8:] if payload is None else payload
    bare = b"\x00\x00\x00\x00" + message[4:8] + data
    answer = bare[:2] + checksum(bare) + bare[4:]
    sender = header[16:20] if source is None else source
    return ip_header(1, sender, header[12:16], len(answer)) + answer


def is_echo_request(packet: bytes) -> bool:
    """Whether a script should answer that packet at all."""
    return len(packet) >= 28 and packet[0] == 0x45 and packet[9] == 1 and packet[20] == 8


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
