"""Which addresses of an endpoint may be tried, from which of ours, and how is a failure told?

What TCP, UDP and ICMP have in common. Every socket of ours goes to an address that `allowed` let
pass.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import (
    EACCES,
    EADDRNOTAVAIL,
    EHOSTUNREACH,
    EMFILE,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPERM,
)
from types import MappingProxyType
from typing import Any

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.resolver import Address, Family, literal
from uptimeo.probes.timeline import Timeline

Faults = Mapping[int, tuple[ErrorType, str]]

_FAULTS: Faults = {
    ENETUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to the network of {at}"),
    EHOSTUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to {at}"),
    EADDRNOTAVAIL: (ErrorType.MISCONFIGURED, "{at} cannot be reached from the source address"),
    EACCES: (ErrorType.PERMISSION, "this host does not let the agent send to {at}"),
    EPERM: (ErrorType.PERMISSION, "this host does not let the agent send to {at}"),
    EMFILE: (ErrorType.RESOURCES, "the agent has no file descriptor left for {at}"),
    ENFILE: (ErrorType.RESOURCES, "this host has no file descriptor left for {at}"),
    ENOBUFS: (ErrorType.RESOURCES, "this host has no buffer left for {at}"),
    ENOMEM: (ErrorType.RESOURCES, "this host has no memory left for {at}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect to; `source` is an address of this host to connect from."""

    host: str
    port: int
    family: Family = Family.ANY
    source: str | None = None


async def resolve(
    host: str, context: ProbeContext, timeline: Timeline, family: Family = Family.ANY
) -> tuple[Address, ...]:
    """The addresses of a host; the dns phase is missing when it is an address itself."""
    if literal(host) is not None:
        return await context.resolver.resolve(host, family, context.remaining_s())
    with timeline.phase(Phase.DNS):
        return await context.resolver.resolve(host, family, context.remaining_s())


def allowed(addresses: Sequence[Address], host: str, context: ProbeContext) -> list[Address]:
    """Those of the host's addresses that may be reached. TargetError if there are none."""
    refusals = {address: context.guard.refusal(address.ip, host) for address in addresses}
    permitted = [address for address, refusal in refusals.items() if refusal is None]
    if not permitted:
        text = next(iter(refusals.values()), None) or f"{host} has no address"
        raise fail(ErrorType.ADDRESS_FORBIDDEN, text, Phase.CONNECT)
    return permitted


def prepare(opened: socket.socket, source: str | None) -> None:
    """Let the socket not block, and bind it to an address of this host. Raises TargetError."""
    opened.settimeout(0)
    if source is None:
        return
    try:
        opened.bind((source, 0))
    except OSError as error:
        text = f"this host has no source address {source} for that family: {error.strerror}"
        raise fail(ErrorType.MISCONFIGURED, text) from error


def sockaddr(address: Address, port: int) -> tuple[Any, ...]:
    """What `connect` takes."""
    if address.family == socket.AF_INET6:
        return address.ip, port, 0, address.zone
    return address.ip, port


def explain(error: OSError, at: str, own: Faults = MappingProxyType({})) -> TargetError:
    """The failure of a socket call that concerns that address; `own` are a protocol's words."""
    unknown = ErrorType.CONNECT, f"cannot connect to {{at}}: {error.strerror}"
    number = error.errno or 0
    kind, text = own.get(number) or _FAULTS.get(number, unknown)
    return fail(kind, text.format(at=at))
