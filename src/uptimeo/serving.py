"""How are HTTP calls taken from the network, within bounds? The importer of uvicorn.

Whoever has an application to serve may call it: the receiver and the agent's ops endpoints.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_S = 2
_HEADER_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many connections there may be at a time, and for how long each may last at most.

    Idle ones must not use up the places. Who comes when all are taken is answered 503.
    """

    connections: int = 200
    lifetime_s: float = 15.0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any. Raises OSError, also for a port in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def shown(listening: socket.socket) -> str:
    """Where it listens, as host:port."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server(uvicorn.Server):
    """Serves an application until `stop`.

    uvicorn's own handling of signals ends in killing the process, so it is left out. There is no
    log of calls: a receiver's token is part of the path.
    """

    def __init__(self, app: Starlette, bounds: Bounds | None = None) -> None:
        kept = bounds or Bounds()
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(kept.lifetime_s),
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                lifespan="off",
                ws="none",
                loop="asyncio",
                limit_concurrency=kept.connections,
                h11_max_incomplete_event_size=_HEADER_BYTES,
                timeout_keep_alive=1,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )

    async def run_on(self, listening: socket.socket) -> None:
        """Serve on that socket, which is closed at the end. Cancelled, it hangs up on everybody."""
        try:
            await self.serve(sockets=[listening])
        except asyncio.CancelledError:
            self._hang_up()
            raise

    def stop(self) -> None:
        """Take no more calls, and end when those under way are answered."""
        self.should_exit = True

    def _hang_up(self) -> None:
        for server in getattr(self, "servers", ()):  # there are none before it has started
            server.close()
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()

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
