"""How does an agent send echo requests and hear their replies, with the rights that it has?

A datagram socket of ICMP needs a group in `net.ipv4.ping_group_range`; the kernel gives it an
identifier and delivers only the replies to it. A raw socket needs CAP_NET_RAW, and a filter of ours
to hear no more than that.
"""

import os
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EACCES, EMSGSIZE, EPERM, EPROTONOSUPPORT
from pathlib import Path
from typing import Self

from uptimeo.domain.result import ErrorType
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.addressing import Endpoint
from uptimeo.probes.network.arrival import ANCILLARY_BYTES, Arrival, arrival, stamp_arrivals
from uptimeo.probes.network.datagrams import (
    IP_RECVERR,
    IPV6_RECVERR,
    connect_first,
    explain,
    hear_errors,
)
from uptimeo.probes.network.resolver import Address
from uptimeo.probes.ping.filters import only_with
from uptimeo.probes.ping.packets import (
    REPLY,
    Complaint,
    Echo,
    complaint,
    reply,
    request,
    without_ip_header,
)

_GROUPS = Path("/proc/sys/net/ipv4/ping_group_range")
_MOST_AT_ONCE = 64
_HEADERS = 128
# Linux's numbers, for which the module `socket` of Python 3.11 has no names.
_IP_MTU_DISCOVER, _IP_MTU = 10, 14
_IPV6_MTU_DISCOVER, _IPV6_MTU, _IPV6_DONTFRAG = 23, 24, 62
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SOL_RAW, _ICMP_FILTER = 255, 1
_SOL_ICMPV6, _ICMP6_FILTER = 58, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSettings:
    """How the requests of a check are sent. `ttl` None is the host's; `source` an own address."""

    ttl: int | None = None
    dont_fragment: bool = False
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An echo reply and when it arrived."""

    echo: Echo
    arrival: Arrival


class EchoSocket:
    """A socket for the echoes of one check to one address. Use it as a context manager.

    `strangers` counts the packets of other addresses that it heard.
    """

    def __init__(self, opened: socket.socket, address: Address, size: int) -> None:
        self.address = address
        self.strangers = 0
        self.raw = opened.type == socket.SOCK_RAW
        self._version = 6 if address.family == socket.AF_INET6 else 4
        self._socket = opened
        self._target = _binary(address.ip)
        self._room = size + _HEADERS
        # The kernel puts its own identifier into what a datagram socket sends.
        self._identifier = secrets.randbelow(65_536) if self.raw else opened.getsockname()[1]
        if self.raw:
            only_with(opened, self._identifier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For the event loop: readable when there is something to receive."""
        return self._socket.fileno()

    def send(self, sequence: int, payload: bytes) -> float:
        """Send one request now: the moment on `time.perf_counter`.

        Raises TargetError when the host cannot.
        """
        echo = Echo(identifier=self._identifier, sequence=sequence, payload=payload)
        message = request(self._version, echo)
        try:
            return self._send(message)
        except OSError as error:
            if error.errno == EMSGSIZE:
                raise self._too_big(len(message)) from error
        try:
            # That may have been the report on an earlier request, which is told but once.
            return self._send(message)
        except OSError as error:
            raise explain(error, self.address.ip) from error

    def _send(self, message: bytes) -> float:
        now = time.perf_counter()
        self._socket.send(message)
        return now

    def receive(self) -> Iterator[Reply | Complaint]:
        """What came since the last time; other people's packets are left out."""
        yield from self._complaints()
        for _ in range(_MOST_AT_ONCE):
            try:
                packet, ancillary, _, sender = self._socket.recvmsg(self._room, ANCILLARY_BYTES)
            except OSError:  # nothing more; or a report, which the queue of errors has in full
                return
            when = arrival(ancillary)
            # A datagram socket of ICMP hears anybody, also one that is connected.
            if _binary(sender[0]) != self._target:
                self.strangers += 1
                continue
            stripped = without_ip_header(packet) if self.raw and self._version == 4 else packet
            echo = reply(self._version, stripped)
            if echo is not None and echo.identifier == self._identifier:
                yield Reply(echo, when)

    def _complaints(self) -> Iterator[Complaint]:
        wanted = {(socket.SOL_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}
        for _ in range(_MOST_AT_ONCE):
            try:
                quoted, ancillary, _, _ = self._socket.recvmsg(
                    self._room, ANCILLARY_BYTES, socket.MSG_ERRQUEUE
                )
            except OSError:
                return
            for level, kind, data in ancillary:
                found = complaint(data, quoted) if (level, kind) in wanted else None
                if found is not None and found.request.identifier == self._identifier:
                    yield found

    def _too_big(self, length: int) -> TargetError:
        v6 = self._version == 6
        level, name = (socket.IPPROTO_IPV6, _IPV6_MTU) if v6 else (socket.SOL_IP, _IP_MTU)
        most = self._socket.getsockopt(level, name)
        whole = length + (40 if v6 else 20)
        text = f"a packet of {whole} bytes to {self.address.ip} does not leave this host:"
        return fail(ErrorType.PACKET_TOO_BIG, f"{text} the MTU on the way is at most {most}")


def open_echo_socket(
    addresses: Sequence[Address],
    host: str,
    settings: PacketSettings,
    size: int,
    context: ProbeContext,
) -> EchoSocket:
    """A socket to the first address with a route: a datagram socket if allowed, else a raw one.

    They are those of `host`, and `size` is the length of the payload. Raises TargetError, with
    `PERMISSION` if neither kind is allowed.
    """

    def make(address: Address) -> socket.socket:
        opened = _open(address)
        try:
            _prepare(opened, address, settings)
        except BaseException:
            opened.close()
            raise
        return opened

    where = Endpoint(host=host, port=0, source=settings.source)
    opened, address = connect_first(addresses, where, context, make)
    return EchoSocket(opened, address, size)


def _binary(ip: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip.partition("%")[0])


def _open(address: Address) -> socket.socket:
    v6 = address.family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    try:
        return socket.socket(address.family, socket.SOCK_DGRAM, protocol)
    except OSError as error:
        if error.errno not in (EACCES, EPERM, EPROTONOSUPPORT):
            raise
    try:
        return socket.socket(address.family, socket.SOCK_RAW, protocol)
    except PermissionError as error:
        raise fail(ErrorType.PERMISSION, _lacking()) from error


def _lacking() -> str:
    try:
        groups = " ".join(_GROUPS.read_text("utf-8").split())
    except OSError:
        groups = "unreadable"
    return (
        "this host does not let the agent ping: either its group"
        f" (now {os.getegid()}) has to be within the sysctl net.ipv4.ping_group_range"
        f' (now "{groups}"), or the agent needs the capability CAP_NET_RAW'
    )


def _prepare(opened: socket.socket, address: Address, settings: PacketSettings) -> None:
    stamp_arrivals(opened)
    hear_errors(opened)
    v6 = address.family == socket.AF_INET6
    if v6:
        _prepare_v6(opened, settings)
    else:
        _prepare_v4(opened, settings)
    if opened.type == socket.SOCK_RAW:
        _only_replies(opened, v6=v6)


def _prepare_v4(opened: socket.socket, settings: PacketSettings) -> None:
    # PROBE sends what is larger than the path was found to be, so that each check asks anew.
    fragment = _PMTUDISC_PROBE if settings.dont_fragment else _PMTUDISC_DONT
    opened.setsockopt(socket.SOL_IP, _IP_MTU_DISCOVER, fragment)
    if settings.ttl is not None:
        opened.setsockopt(socket.SOL_IP, socket.IP_TTL, settings.ttl)


def _prepare_v6(opened: socket.socket, settings: PacketSettings) -> None:
    if settings.dont_fragment:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
    if settings.ttl is not None:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, settings.ttl)


def _only_replies(opened: socket.socket, *, v6: bool) -> None:
    """Do not wake up for the requests, and whatever else, of the target."""
    wanted = REPLY[6 if v6 else 4]
    blocked = [0xFFFFFFFF] * (8 if v6 else 1)
    blocked[wanted // 32] &= ~(1 << wanted % 32)
    level, name = (_SOL_ICMPV6, _ICMP6_FILTER) if v6 else (_SOL_RAW, _ICMP_FILTER)
    opened.setsockopt(level, name, struct.pack(f"={len(blocked)}I", *blocked))
