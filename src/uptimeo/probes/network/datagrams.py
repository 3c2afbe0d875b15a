"""How does a probe of ours send to one address without a connection? For UDP and ICMP.

A UDP socket that is connected in the sense of the kernel hears nobody else: what comes from another
address or port is not delivered to it, and that a port is closed is.
"""

import socket
from collections.abc import Callable, Sequence
from errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAGAIN,
    ECONNREFUSED,
    EHOSTUNREACH,
    EINVAL,
    EMFILE,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPERM,
)

from uptimeo.domain.result import ErrorType
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.resolver import Address

_FAULTS = {
    ECONNREFUSED: (ErrorType.CONNECT_REFUSED, "nothing listens at {at}: port unreachable"),
    ENETUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to the network of {at}"),
    EHOSTUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to {at}"),
    EADDRNOTAVAIL: (ErrorType.MISCONFIGURED, "{at} cannot be reached from the source address"),
    EINVAL: (ErrorType.MISCONFIGURED, "{at} cannot be reached from this host or source address"),
    EACCES: (ErrorType.PERMISSION, "this host does not let the agent send to {at}"),
    EPERM: (ErrorType.PERMISSION, "this host does not let the agent send to {at}"),
    EMFILE: (ErrorType.RESOURCES, "the agent has no file descriptor left for {at}"),
    ENFILE: (ErrorType.RESOURCES, "this host has no file descriptor left for {at}"),
    EAGAIN: (ErrorType.RESOURCES, "this host is not done yet with what was sent to {at} before"),
    ENOBUFS: (ErrorType.RESOURCES, "this host has no buffer left for {at}"),
    ENOMEM: (ErrorType.RESOURCES, "this host has no memory left for {at}"),
}


def explain(error: OSError, at: str) -> TargetError:
    """The failure of a socket call that concerns that address."""
    kind, text = _FAULTS.get(
        error.errno or 0, (ErrorType.CONNECT, f"cannot send to {{at}}: {error.strerror}")
    )
    return fail(kind, text.format(at=at))


def open_udp(address: Address) -> socket.socket:
    """A socket for `connect_first`. Raises OSError."""
    return socket.socket(address.family, socket.SOCK_DGRAM)


def connect_first(
    addresses: Sequence[Address],
    port: int,
    source: str | None,
    make: Callable[[Address], socket.socket] = open_udp,
) -> tuple[socket.socket, Address]:
    """A socket that talks to the first of these addresses that this host has a route to.

    Nothing is sent. Raises TargetError for the last address.
    """
    failure: TargetError | None = None
    for address in addresses:
        try:
            return _connect(address, port, source, make), address
        except OSError as error:
            failure = explain(error, address.at(port) if port else address.ip)
            failure.__cause__ = error
        except TargetError as error:
            failure = error
    assert failure is not None, "there is at least one address"
    raise failure


def _connect(
    address: Address, port: int, source: str | None, make: Callable[[Address], socket.socket]
) -> socket.socket:
    opened = make(address)
    try:
        opened.settimeout(0)
        if source is not None:
            _bind(opened, source)
        v6 = address.family == socket.AF_INET6
        opened.connect((address.ip, port, 0, address.zone) if v6 else (address.ip, port))
    except BaseException:
        opened.close()
        raise
    return opened


def _bind(opened: socket.socket, source: str) -> None:
    try:
        opened.bind((source, 0))
    except OSError as error:
        text = f"this host has no source address {source} for that family: {error.strerror}"
        raise fail(ErrorType.MISCONFIGURED, text) from error
