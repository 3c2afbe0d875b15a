"""How is a receiver joined, run and stopped? Its composition root."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.receiver.app import make_app
from uptimeo.receiver.attendance import Attendance
from uptimeo.receiver.settings import ADDRESS, ReceiverSettings
from uptimeo.service_manager import Condition, ServiceManager
from uptimeo.serving import Server, listen, shown
from uptimeo.storage.database import connect, connection_string, make_pool, startup_errors
from uptimeo.storage.schema import verify
from uptimeo.storage.signals import SignalStore
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import Log

_PATIENCE_S = 1.0
_APPLICATION = "uptimeo receive"


async def run_receiver(
    settings: ReceiverSettings, database: str, log: Log, manager: ServiceManager | None = None
) -> None:
    """Run until SIGTERM or SIGINT. A database that is away is waited for, and told to callers.

    `database` is a libpq URI or keyword string. The service manager, if there is one, is told how
    the receiver is.

    Raises FatalError when the address or the database makes a start impossible.
    """
    await _verify(connection_string(database, _APPLICATION))
    stop = asyncio.Event()
    with open_inbox(settings) as listening:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _end, stop, manager)
        await receive(database, listening, log, stop, manager)


async def receive(
    database: str,
    listening: socket.socket,
    log: Log,
    stop: asyncio.Event,
    manager: ServiceManager | None = None,
) -> None:
    """Take signals on that socket until `stop`, when those under way are answered first."""
    pool = make_pool(connection_string(database, _APPLICATION), size=4)
    store = SignalStore(pool)
    attendance = Attendance(store, f"{socket.gethostname()}:{os.getpid()}", log)
    await pool.open()
    try:
        log.receiver_started(shown(listening))
        async with _informed(manager, shown(listening), attendance):
            await _run(Server(make_app(store, attendance)), listening, attendance, stop)
    finally:
        await pool.close(timeout=0.2)
    log.receiver_stopped()


def open_inbox(settings: ReceiverSettings) -> socket.socket:
    """The socket to take signals on. Raises FatalError, such as for a port that is taken."""
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        text = f"{ADDRESS}: {where} cannot be listened on: {error.strerror or error}"
        raise FatalError(text) from error


async def _run(
    server: Server, listening: socket.socket, attendance: Attendance, stop: asyncio.Event
) -> None:
    tasks = {
        "server": asyncio.create_task(server.run_on(listening), name="server"),
        "attendance": asyncio.create_task(attendance.run(), name="attendance"),
        "stop": asyncio.create_task(stop.wait(), name="stop"),
    }
    try:
        done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await cancel_all([tasks["attendance"]], _PATIENCE_S)
        # Before the last call is refused, not after: the time that is told must not be too long.
        await attendance.tell()
        server.stop()
        await tasks["server"]
    finally:
        await cancel_all(tasks.values(), _PATIENCE_S)


def _end(stop: asyncio.Event, manager: ServiceManager | None) -> None:
    stop.set()
    if manager is not None:
        manager.stopping()


@asynccontextmanager
async def _informed(
    manager: ServiceManager | None, address: str, attendance: Attendance
) -> AsyncIterator[None]:
    """Meanwhile a service manager hears how the receiver is: ready once it listens."""
    if manager is None:
        yield
        return

    def look() -> Condition:
        hindrance = "" if attendance.present else "; signals cannot be stored"
        return Condition(alive=True, ready=True, status=f"takes signals at {address}{hindrance}")

    telling = asyncio.create_task(manager.keep_informed(look), name="supervision")
    try:
        yield
    finally:
        await cancel_all([telling], _PATIENCE_S)


async def _verify(conninfo: str) -> None:
    try:
        async with await connect(conninfo) as connection:
            with startup_errors():
                await verify(connection)
    except TransientError:
        return  # callers hear 503 until it is back
