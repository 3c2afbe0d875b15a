"""How does a probe of ours send to one address without a connection? For UDP and ICMP.

A UDP socket that is connected in the sense of the kernel hears nobody else: what comes from another
address or port is not delivered to it. What ICMP says of its packets is, once it asks for that.
"""

import socket
from collections.abc import Callable, Sequence
from errno import EACCES, EAGAIN, ECONNREFUSED, EINVAL

from uptimeo.domain.result import ErrorType
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError
from uptimeo.probes.network import addressing
from uptimeo.probes.network.addressing import Endpoint
from uptimeo.probes.network.resolver import Address

_FAULTS: addressing.Faults = {
    ECONNREFUSED: (ErrorType.CONNECT_REFUSED, "nothing listens at {at}: port unreachable"),
    EINVAL: (ErrorType.MISCONFIGURED, "{at} cannot be reached from this host or source address"),
    EAGAIN: (ErrorType.RESOURCES, "this host is not done yet with what was sent to {at} before"),
}
# Reported of a packet that had left the host: by a router, as "administratively prohibited".
_REPORTED: addressing.Faults = {
    **_FAULTS,
    EACCES: (ErrorType.CONNECT_UNREACHABLE, "a router on the way lets nothing pass to {at}"),
}
# Linux's numbers, for which the module `socket` of Python 3.11 has no names.
IP_RECVERR, IPV6_RECVERR = 11, 25


def explain(error: OSError, at: str) -> TargetError:
    """The failure of a socket call that concerns that address."""
    return addressing.explain(error, at, _FAULTS)


def reported(error: OSError, at: str) -> TargetError:
    """What the network says of a packet that was sent to that address."""
    return addressing.explain(error, at, _REPORTED)


def hear_errors(opened: socket.socket) -> None:
    """Let every error of ICMP end a call on the socket; else only that a port is closed does."""
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        opened.setsockopt(socket.SOL_IP, IP_RECVERR, 1)


def open_udp(address: Address) -> socket.socket:
    """A socket for `connect_first` that hears of errors. Raises OSError."""
    opened = socket.socket(address.family, socket.SOCK_DGRAM)
    hear_errors(opened)
    return opened


def connect_first(
    addresses: Sequence[Address],
    where: Endpoint,
    context: ProbeContext,
    make: Callable[[Address], socket.socket] = open_udp,
) -> tuple[socket.socket, Address]:
    """A socket that talks to the first of these addresses that this host has a route to.

    None but those that the guard allows are tried, and nothing is sent. Raises TargetError for the
    last address.
    """
    failure: TargetError | None = None
    for address in addressing.allowed(addresses, where.host, context):
        try:
            return _connect(address, where, make), address
        except OSError as error:
            failure = explain(error, address.at(where.port) if where.port else address.ip)
            failure.__cause__ = error
        except TargetError as error:
            failure = error
    assert failure is not None, "there is at least one address"
    raise failure


def _connect(
    address: Address, where: Endpoint, make: Callable[[Address], socket.socket]
) -> socket.socket:
    opened = make(address)
    try:
        addressing.prepare(opened, where.source)
        opened.connect(addressing.sockaddr(address, where.port))
    except BaseException:
        opened.close()
        raise
    return opened
