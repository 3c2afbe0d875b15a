"""How are calls taken from the network? The importer of uvicorn."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_S = 2
_CONNECTIONS = 200
_HEADER_BYTES = 16_384


class Server(uvicorn.Server):
    """Serves an application until `stop`.

    uvicorn's own handling of signals ends in killing the process, so it is left out. There is no
    log of calls: a token is part of the path.
    """

    def __init__(self, app: Starlette, lifetime_s: float = 15.0) -> None:
        """`lifetime_s` is how long a connection may last: idle ones must not use up the places."""
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(lifetime_s),
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                lifespan="off",
                ws="none",
                loop="asyncio",
                limit_concurrency=_CONNECTIONS,
                h11_max_incomplete_event_size=_HEADER_BYTES,
                timeout_keep_alive=1,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )

    async def run_on(self, listening: socket.socket) -> None:
        """Serve on that socket, which is closed at the end."""
        await self.serve(sockets=[listening])

    def stop(self) -> None:
        """Take no more calls, and end when those under way are answered."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not ours to capture here."""
        yield


def _protocol(lifetime_s: float) -> type[H11Protocol]:
    class Hasty(_Hasty):
        lifetime = lifetime_s

    return Hasty


class _Hasty(H11Protocol):
    """uvicorn waits for the end of a request as long as a caller likes; this does not."""

    lifetime: ClassVar[float]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn does it, and the clock begins to run."""
        super().connection_made(transport)
        self._end = self.loop.call_later(self.lifetime, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn does it, and the clock is stopped."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)
