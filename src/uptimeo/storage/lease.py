"""The lease row of one datacenter, or of the whole installation."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from uptimeo.clock import boottime
from uptimeo.domain.errors import TransientError, UptimeoError
from uptimeo.domain.lease import LeaseAnswer, LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, Pool, borrowed, connect, our_errors
from uptimeo.tasks import cancel_all

_ASK = """
SELECT held, term, seq, holder_name, server_now
FROM lease_ask(%(datacenter)s, %(candidate)s, %(name)s, %(ttl)s,
               %(seen_term)s, %(seen_seq)s, %(may_steal)s)
"""
_RELEASE = "SELECT lease_release(%s, %s, %s)"
# In the place of a datacenter's id: who maintains the whole installation.
MAINTENANCE = DatacenterId(0)
_PATIENCE_S = 1.0
_CONNECT_S = 6.0

T = TypeVar("T")


class Lease:
    """Asks with single statements, so that it works behind any pooler.

    The connection is nobody else's: a slow batch of heartbeats must not delay a renewal.
    """

    def __init__(self, conninfo: str, datacenter: DatacenterId, name: str, ttl: timedelta) -> None:
        self._conninfo = conninfo
        self._datacenter = datacenter
        self._name = name
        self._ttl = ttl
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def ask(self, request: LeaseRequest, timeout_s: float) -> LeaseAnswer:
        """Renew, take or see the lease; TransientError when no answer came in time."""
        connection = await self._ready(timeout_s)
        return await self._within(timeout_s, self._ask(connection, request))

    async def release(self, candidate: UUID, term: int, timeout_s: float) -> None:
        """Give the lease back if it is still the candidate's, and wake the standbys."""
        connection = await self._ready(timeout_s)
        await self._within(timeout_s, self._release(connection, candidate, term))

    async def wait_for_release(self, timeout_s: float) -> None:
        """Return when another agent has given the lease back, at the latest after the timeout."""
        if self._connection is None:
            await asyncio.sleep(timeout_s)
            return
        try:
            with our_errors():
                async for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
                    pass
        except UptimeoError as error:
            self._drop()
            raise TransientError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection without waiting for the server."""
        self._drop()
        if self._connecting is not None:
            await cancel_all([self._connecting], _PATIENCE_S)
        if self._ending:
            await asyncio.wait(self._ending, timeout=0.5)

    async def _ask(self, connection: Connection, request: LeaseRequest) -> LeaseAnswer:
        return await _ask(connection, self._datacenter, self._name, self._ttl, request)

    async def _release(self, connection: Connection, candidate: UUID, term: int) -> None:
        await connection.execute(_RELEASE, (self._datacenter, candidate, term))

    async def _ready(self, timeout_s: float) -> Connection:
        """The connection; TransientError while it is not there yet, and connecting goes on.

        Connecting takes eight round trips and more, a question takes one: between continents the
        first may be longer than a question may take.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="lease-connect")
        connecting = self._connecting
        await asyncio.wait({connecting}, timeout=timeout_s)
        if not connecting.done():
            raise TransientError(f"not connected after {timeout_s:g} s")
        self._connecting = None
        try:
            with our_errors():
                self._connection = connecting.result()
        except (UptimeoError, OSError) as error:
            # Also a FatalError: a password that is wrong now may be a rotation under way.
            raise TransientError(str(error)) from error
        return self._connection

    async def _connect(self) -> Connection:
        async with asyncio.timeout(_CONNECT_S):
            connection = await connect(self._conninfo)
            # Bytes: an identifier cannot be a parameter, and the id is a number of ours.
            await connection.execute(f"LISTEN uptimeo_lease_{self._datacenter:d}".encode())
        return connection

    async def _within(self, timeout_s: float, call: Coroutine[Any, Any, T]) -> T:
        """The call's answer, or TransientError as soon as the time is over.

        Not asyncio.timeout: a call that does not listen to its cancellation would be waited for.
        A cancelled caller leaves the call in flight, for the release comes next on its connection.
        """
        task = asyncio.create_task(call, name="lease-call")
        self._calls.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            self._drop()
            raise TransientError(f"no answer within {timeout_s} s")
        try:
            with our_errors():
                return task.result()
        except (UptimeoError, OSError) as error:
            self._drop()
            raise TransientError(str(error)) from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller has been told, or has left

    def _drop(self) -> None:
        """Forget the connection, and the calls that wait on it."""
        connection, self._connection = self._connection, None
        ending = asyncio.create_task(_end(connection, set(self._calls)), name="lease-end")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class MaintenanceLease:
    """The lease of whoever maintains the whole installation, through the pool that all share.

    It is asked for a few times a minute, and a connection for it would be idle in every agent.
    Two that hold it for a while, as after a failover that lost commits, do no harm: what is
    done under it is done once, by the locks of its own functions.
    """

    def __init__(self, pool: Pool, name: str, ttl: timedelta) -> None:
        self._pool = pool
        self._name = name
        self._ttl = ttl

    async def ask(self, request: LeaseRequest, timeout_s: float) -> LeaseAnswer:
        """Renew, take or see the lease; TransientError when no answer came in time."""
        async with borrowed(self._pool, within_s=timeout_s) as connection:
            return await _ask(connection, MAINTENANCE, self._name, self._ttl, request)

    async def release(self, candidate: UUID, term: int, timeout_s: float) -> None:
        """Give the lease back if it is still the candidate's."""
        async with borrowed(self._pool, within_s=timeout_s) as connection:
            await connection.execute(_RELEASE, (MAINTENANCE, candidate, term))

    async def wait_for_release(self, timeout_s: float) -> None:
        """Wait for the whole timeout: nobody is in a hurry to maintain."""
        await asyncio.sleep(timeout_s)


async def _ask(
    connection: Connection,
    datacenter: DatacenterId,
    name: str,
    ttl: timedelta,
    request: LeaseRequest,
) -> LeaseAnswer:
    values = {
        "datacenter": datacenter,
        "candidate": request.candidate,
        "name": name,
        "ttl": ttl,
        "seen_term": request.seen_term,
        "seen_seq": request.seen_seq,
        "may_steal": request.may_steal,
    }
    # The clock is set by these: what connecting took says nothing about the answer.
    sent_at = boottime()
    row = await (await connection.execute(_ASK, values)).fetchone()
    received_at = boottime()
    assert row is not None
    held, term, seq, holder, server_now = row
    return LeaseAnswer(
        held=held,
        term=term,
        seq=seq,
        holder=holder,
        server_now=server_now,
        sent_at=sent_at,
        received_at=received_at,
    )


async def _end(connection: Connection | None, unfinished: set[asyncio.Task[Any]]) -> None:
    """Close only after the calls have let go of the descriptor, which may be reused at once."""
    await cancel_all(unfinished, _PATIENCE_S)
    if connection is not None:
        await connection.close()
