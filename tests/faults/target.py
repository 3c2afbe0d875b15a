"""The target of every check: answers 200 at once, and is the witness of what was really checked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.servers import HOST, OK, Address


@dataclass(frozen=True, slots=True)
class Request:
    """A check as the target saw it. `at` is wall time, which is also the server's clock."""

    monitor: int
    at: float


class Target:
    """Where the monitors point: `url()` followed by the id of the monitor."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.requests: list[Request] = []

    def url(self) -> str:
        """What comes before a monitor's id."""
        return self.address.url("/")


class _Answer(asyncio.Protocol):
    """One connection. Leaner than a coroutine: hundreds a second beside what is measured."""

    def __init__(self, seen: list[Request]) -> None:
        self._seen = seen
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        at = time.time()
        path = self._head.split(b" ", 2)[1]
        if path[1:].isdigit():
            self._seen.append(Request(int(path[1:]), at))
        self._transport.write(OK)
        self._transport.close()


@asynccontextmanager
async def target(host: str = HOST) -> AsyncIterator[Target]:
    """A target on a free port of `host`."""
    seen: list[Request] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answer(seen), host, 0, backlog=1024)
    made = Target(Address(port=server.sockets[0].getsockname()[1], host=host))
    made.requests = seen
    try:
        yield made
    finally:
        server.close()
