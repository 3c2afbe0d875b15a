"""Has the configuration changed? Notices of the database, where they arrive."""

import asyncio
from contextlib import aclosing, suppress
from uuid import uuid4

import psycopg

from uptimeo.domain.errors import TransientError, UptimeoError
from uptimeo.storage.database import Connection, connect, our_errors

_CHANNEL = "uptimeo_config"
_SELF_TEST_S = 2.0


class ChangeNotices:
    """Waits for notices on a connection of its own; behind a transaction pooler none arrive.

    PgBouncer in transaction mode accepts LISTEN and never delivers, so every new connection is
    tried with a notice from another one.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None
        self.work: bool | None = None

    async def listen(self) -> None:
        """Be ready for notices; after it, `work` says whether they arrive at all.

        Raises TransientError while there is no connection.
        """
        if self._connection is not None and not self._connection.closed:
            return
        try:
            with our_errors():
                self._connection = await connect(self._conninfo)
                self.work = await _try_listen(self._connection, self._conninfo)
        except UptimeoError as error:
            await self.aclose()
            raise TransientError(str(error)) from error

    async def wait(self, timeout_s: float) -> bool:
        """Return at a notice (true) or after the timeout (false).

        Raises TransientError when the connection is lost: notices may have been missed, so the
        caller reads everything again.
        """
        if self._connection is None:
            raise TransientError("not listening")
        if not self.work:
            await asyncio.sleep(timeout_s)
            return False
        try:
            with our_errors():
                return await _notice(self._connection, _CHANNEL, timeout_s)
        except UptimeoError as error:
            await self.aclose()
            raise TransientError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


async def _try_listen(connection: Connection, conninfo: str) -> bool:
    """Whether a notice of somebody else arrives.

    Of somebody else: behind a pooler, a session may well hear itself while it is being served.
    """
    probe = f"uptimeo_self_{uuid4().hex}"
    await connection.execute(f"LISTEN {_CHANNEL}".encode())
    await connection.execute(f"LISTEN {probe}".encode())
    async with await connect(conninfo) as somebody:
        await somebody.execute("SELECT pg_notify(%s, '')", (probe,))
    arrived = await _notice(connection, probe, _SELF_TEST_S)
    await connection.execute(f"UNLISTEN {probe}".encode())
    return arrived


async def _notice(connection: Connection, channel: str, timeout_s: float) -> bool:
    """Whether a notice of that channel comes in time."""
    # Closed at once: an unfinished generator keeps the connection's lock.
    async with aclosing(connection.notifies(timeout=timeout_s)) as notices:
        async for notify in notices:
            if notify.channel == channel:
                return True
    return False
