"""How do jobs signal to `uptimeo up`? A receiver beside the agent, in the same process."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress

import click

from uptimeo.domain.errors import FatalError
from uptimeo.receiver import open_inbox, receive
from uptimeo.receiver.settings import ADDRESS, URL, read_receiver_settings
from uptimeo.serving import shown
from uptimeo.telemetry import Log

# What its end may take, after that of the agent.
_PATIENCE_S = 0.5

Keep = Callable[[AbstractContextManager[socket.socket]], socket.socket]


def listening(environment: Mapping[str, str], keep: Keep, *, alone: bool) -> socket.socket | None:
    """Take the receiver's address, and say where jobs signal; None if there shall be no receiver.

    `alone` is a database of our own, which has no other receiver: in another one, one that nobody
    can reach would vouch for jobs that cannot be heard. There it has to be asked for by naming
    its address. Raises FatalError if an address that was named is taken; if the usual one is, that
    is told.
    """
    named = bool(environment.get(ADDRESS, "").strip())
    if not (alone or named):
        return None
    settings = read_receiver_settings(environment)
    try:
        opened = keep(open_inbox(settings))
    except FatalError as error:
        if named:
            raise
        click.echo(f"Jobs cannot signal here (set it to another host:port): {error}", err=True)
        return None
    url = settings.url if environment.get(URL, "").strip() else f"http://{shown(opened)}"
    click.echo(f"Jobs signal at {url}/ping/TOKEN: `uptimeo monitor add push`", err=True)
    return opened


class Beside:
    """A receiver that runs while the agent does. If it dies of a bug, the agent stops in order."""

    def __init__(self, listening: socket.socket, database: str, log: Log) -> None:
        self._stop = asyncio.Event()
        work = receive(database, listening, log, self._stop)
        self._task = asyncio.create_task(work, name="receiver")
        self._task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """End it, also while the database hangs; raises what it died of."""
        self._stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._task

    def _ended(self, _task: "asyncio.Task[None]") -> None:
        if not self._stop.is_set():
            signal.raise_signal(signal.SIGTERM)
