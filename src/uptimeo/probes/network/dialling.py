"""To which of its addresses is a host connected? The guard is asked; the first that accepts wins.

As RFC 8305 has it, the next address is tried while the one before has not answered for 250 ms.
"""

import asyncio
import socket
from collections.abc import Sequence
from errno import ECONNREFUSED, ECONNRESET, ETIMEDOUT

from uptimeo.domain.result import ErrorType, Failure, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.addressing import (
    Endpoint,
    Faults,
    allowed,
    explain,
    prepare,
    sockaddr,
)
from uptimeo.probes.network.resolver import Address

_NEXT_AFTER_S = 0.25
_FAULTS: Faults = {
    ECONNREFUSED: (ErrorType.CONNECT_REFUSED, "connection refused by {at}"),
    ECONNRESET: (ErrorType.CONNECTION_RESET, "connection reset by {at}"),
    ETIMEDOUT: (ErrorType.CONNECT_TIMEOUT, "no TCP connection to {at}: the system gave up"),
}


async def dial(
    addresses: Sequence[Address], where: Endpoint, context: ProbeContext
) -> tuple[socket.socket, Address]:
    """A connected socket and its address. Raises TargetError for the last address that failed."""
    permitted = allowed(addresses, where.host, context)
    running: dict[asyncio.Task[socket.socket], Address] = {}
    failure: Failure | None = None
    waiting = list(permitted)
    try:
        async with asyncio.timeout_at(context.deadline):
            while waiting or running:
                if waiting:
                    address = waiting.pop(0)
                    running[asyncio.create_task(_connect(address, where))] = address
                winner, failure = await _settle(running, failure, hurry=bool(waiting))
                if winner is not None:
                    return winner
    except TimeoutError as error:
        shown = " and ".join(address.at(where.port) for address in permitted)
        text = f"no TCP connection to {shown} within {context.timeout_ms} ms"
        raise fail(ErrorType.CONNECT_TIMEOUT, text, Phase.CONNECT) from error
    finally:
        await _abandon(running)
    assert failure is not None
    raise TargetError(failure)


async def _settle(
    running: dict["asyncio.Task[socket.socket]", Address],
    failure: Failure | None,
    *,
    hurry: bool,
) -> tuple[tuple[socket.socket, Address] | None, Failure | None]:
    """Wait for an attempt to end: the connection, or none yet and the newest failure."""
    done, _ = await asyncio.wait(
        running, timeout=_NEXT_AFTER_S if hurry else None, return_when=asyncio.FIRST_COMPLETED
    )
    for task in done:
        if isinstance(error := task.exception(), TargetError):
            del running[task]
            failure = error.failure
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


async def _connect(address: Address, where: Endpoint) -> socket.socket:
    at = address.at(where.port)
    try:
        made = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise _explain(error, at) from error
    try:
        prepare(made, where.source)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, sockaddr(address, where.port))
    except OSError as error:
        made.close()
        raise _explain(error, at) from error
    except BaseException:
        made.close()
        raise
    return made


def _explain(error: OSError, at: str) -> TargetError:
    return explain(error, at, _FAULTS).within(Phase.CONNECT)
