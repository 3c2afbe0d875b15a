"""To which of its addresses is a host connected? The guard is asked; the first that accepts wins.

As RFC 8305 has it, the next address is tried while the one before has not answered for 250 ms.
"""

import asyncio
import socket
from collections.abc import Sequence
from errno import (
    EACCES,
    EADDRNOTAVAIL,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EMFILE,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPERM,
    ETIMEDOUT,
)

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.resolver import Address

_NEXT_AFTER_S = 0.25
_FAULTS = {
    ECONNREFUSED: (ErrorType.CONNECT_REFUSED, "connection refused by {at}"),
    ECONNRESET: (ErrorType.CONNECTION_RESET, "connection reset by {at}"),
    ENETUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to the network of {at}"),
    EHOSTUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to {at}"),
    ETIMEDOUT: (ErrorType.CONNECT_TIMEOUT, "no TCP connection to {at}: the system gave up"),
    EADDRNOTAVAIL: (ErrorType.MISCONFIGURED, "{at} cannot be reached from the source address"),
    EACCES: (ErrorType.PERMISSION, "this host does not let the agent connect to {at}"),
    EPERM: (ErrorType.PERMISSION, "this host does not let the agent connect to {at}"),
}
_STARVED = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})


async def dial(
    addresses: Sequence[Address],
    host: str,
    port: int,
    source: str | None,
    context: ProbeContext,
) -> tuple[socket.socket, Address]:
    """A connected socket and its address. Raises TargetError for the last address that failed."""
    permitted = allowed(addresses, host, context)
    running: dict[asyncio.Task[socket.socket], Address] = {}
    failure: TargetError | None = None
    waiting = list(permitted)
    try:
        async with asyncio.timeout_at(context.deadline):
            while waiting or running:
                if waiting:
                    address = waiting.pop(0)
                    running[asyncio.create_task(_connect(address, port, source))] = address
                winner, failure = await _settle(running, failure, hurry=bool(waiting))
                if winner is not None:
                    return winner
    except TimeoutError as error:
        shown = " and ".join(address.at(port) for address in permitted)
        text = f"no TCP connection to {shown} within {context.timeout_ms} ms"
        raise fail(ErrorType.CONNECT_TIMEOUT, text, Phase.CONNECT) from error
    finally:
        await _abandon(running)
    assert failure is not None
    raise failure


def allowed(addresses: Sequence[Address], host: str, context: ProbeContext) -> list[Address]:
    """Those of the host's addresses that may be reached. TargetError if there are none."""
    refusals = {address: context.guard.refusal(address.ip, host) for address in addresses}
    permitted = [address for address, refusal in refusals.items() if refusal is None]
    if not permitted:
        text = next(iter(refusals.values())) or f"{host} has no address"
        raise fail(ErrorType.ADDRESS_FORBIDDEN, text, Phase.CONNECT)
    return permitted


async def _settle(
    running: dict["asyncio.Task[socket.socket]", Address],
    failure: TargetError | None,
    *,
    hurry: bool,
) -> tuple[tuple[socket.socket, Address] | None, TargetError | None]:
    """Wait for an attempt to end: the connection, or none yet and the newest failure."""
    done, _ = await asyncio.wait(
        running, timeout=_NEXT_AFTER_S if hurry else None, return_when=asyncio.FIRST_COMPLETED
    )
    for task in done:
        if isinstance(error := task.exception(), TargetError):
            del running[task]
            failure = error
        elif error is not None:
            raise error
    won = next((task for task in done if task in running), None)
    return (None if won is None else (won.result(), running.pop(won))), failure


async def _abandon(running: dict["asyncio.Task[socket.socket]", Address]) -> None:
    for task in running:
        task.cancel()
    for end in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(end, socket.socket):
            end.close()


async def _connect(address: Address, port: int, source: str | None) -> socket.socket:
    try:
        made = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise _explain(error, address.at(port)) from error
    try:
        made.settimeout(0)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            _bind(made, source)
        where = (address.ip, port, 0, address.zone) if ":" in address.ip else (address.ip, port)
        await asyncio.get_running_loop().sock_connect(made, where)
    except OSError as error:
        made.close()
        raise _explain(error, address.at(port)) from error
    except BaseException:
        made.close()
        raise
    return made


def _bind(made: socket.socket, source: str) -> None:
    try:
        made.bind((source, 0))
    except OSError as error:
        text = f"this host has no source address {source} for that family: {error.strerror}"
        raise fail(ErrorType.MISCONFIGURED, text, Phase.CONNECT) from error


def _explain(error: OSError, at: str) -> TargetError:
    if error.errno in _STARVED:
        text = f"the agent could not open a socket for {at}: {error.strerror}"
        return fail(ErrorType.RESOURCES, text, Phase.CONNECT)
    kind, text = _FAULTS.get(
        error.errno or 0, (ErrorType.CONNECT, f"cannot connect to {{at}}: {error.strerror}")
    )
    return fail(kind, text.format(at=at), Phase.CONNECT)
