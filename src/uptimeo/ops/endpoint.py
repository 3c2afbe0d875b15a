"""Where are the ops endpoints served? The loop that listens, and tries again."""

import asyncio
from collections.abc import Callable

from uptimeo.serving import Bounds, Server, listen, shown
from uptimeo.telemetry import Log

# Far more than ask at a time: an orchestrator that is sent away may restart the agent.
BOUNDS = Bounds(connections=64, lifetime_s=15.0)
_RETRY_S = 30.0


class OpsEndpoint:
    """Serves there. A port in use, or any fault of a server, is only an event.

    `server` makes a new one for each attempt.
    """

    def __init__(self, address: tuple[str, int], server: Callable[[], Server], log: Log) -> None:
        self._address = address
        self._server = server
        self._log = log
        self._told = ""

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - who cannot be asked goes on checking
                self._tell(error)
            await asyncio.sleep(_RETRY_S)

    async def _serve(self) -> None:
        with listen(*self._address) as listening:
            self._told = ""
            self._log.ops_started(shown(listening))
            await self._server().run_on(listening)

    def _tell(self, error: Exception) -> None:
        """Once for each new reason."""
        if str(error) != self._told:
            self._told = str(error)
            host, port = self._address
            self._log.ops_unavailable(f"{host}:{port}", error)
