"""How is a receiver joined, run and stopped? Its composition root, and the importer of uvicorn."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.receiver.app import make_app
from uptimeo.receiver.attendance import Attendance
from uptimeo.receiver.settings import ADDRESS, ReceiverSettings
from uptimeo.storage.database import connect, connection_string, make_pool, startup_errors
from uptimeo.storage.schema import verify
from uptimeo.storage.signals import SignalStore
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import Log

_GRACE_S = 2
_CONNECTIONS = 200
_HEADER_BYTES = 16_384


async def run_receiver(settings: ReceiverSettings, log: Log) -> None:
    """Run until SIGTERM or SIGINT. A database that is away is waited for, and told to callers.

    Raises FatalError when the address or the database makes a start impossible.
    """
    conninfo = connection_string(settings.db_conn_string, "uptimeo receive")
    await _verify(conninfo)
    listening = _listen(settings)
    pool = make_pool(conninfo, size=4)
    store = SignalStore(pool)
    attendance = Attendance(store, f"{socket.gethostname()}:{os.getpid()}", log)
    server = _Server(
        uvicorn.Config(
            make_app(store, attendance),
            log_config=None,
            access_log=False,  # a token is part of the path
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            http="h11",
            ws="none",
            loop="asyncio",
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEADER_BYTES,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    await pool.open()
    attending = asyncio.create_task(attendance.run(), name="attendance")
    try:
        host, port = listening.getsockname()[:2]
        log.receiver_started(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await server.serve(sockets=[listening])
        await cancel_all([attending], 1)
        await attendance.tell()
    finally:
        await cancel_all([attending], 1)
        await pool.close(timeout=0.2)
        listening.close()
    log.receiver_stopped()


class _Server(uvicorn.Server):
    """Without uvicorn's own handling of signals, which ends in killing the process."""

    def stop(self) -> None:
        """Take no more calls, and end when those under way are answered."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not ours to capture here."""
        yield


async def _verify(conninfo: str) -> None:
    try:
        async with await connect(conninfo) as connection:
            with startup_errors():
                await verify(connection)
    except TransientError:
        return  # callers hear 503 until it is back


def _listen(settings: ReceiverSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        text = f"{ADDRESS}: {where} cannot be listened on: {error.strerror or error}"
        raise FatalError(text) from error
