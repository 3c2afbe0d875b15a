"""A PostgreSQL of the fault's own that may be stopped, killed and started again, and its thread."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psycopg

from tests.support.postgres import local_server
from uptimeo.domain.errors import FatalError

_GONE_S = 15.0

T = TypeVar("T")


class Server:
    """A LocalServer for a running event loop; `dsn` stays the same over every restart.

    The server ends with the thread that started it, and a start may last for seconds, during
    which the target has to answer. Hence a thread of its own, kept until `close`.
    """

    def __init__(
        self, directory: Path, *, options: Sequence[str] = (), hba: Sequence[str] = ()
    ) -> None:
        self._data = directory / "postgres"
        self._local = local_server(directory, options)
        self._hba = tuple(hba)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server")
        self.dsn = self._local.conninfo

    async def start(self) -> None:
        """Start it; after a kill, as soon as the children of the killed one are gone."""
        await self._in_thread(self._start)

    async def stop(self) -> None:
        """End it in order: clients at once, data safe."""
        await self._in_thread(self._local.stop)

    async def kill(self) -> float:
        """Kill the postmaster with SIGKILL; answers with the time at which."""
        pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        killed_at = time.time()
        os.kill(pid, signal.SIGKILL)
        await self._in_thread(self._local.stop)  # reaps it, and lets go of the directory
        return killed_at

    async def close(self) -> None:
        """Stop it for good."""
        await self.stop()
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _start(self) -> None:
        deadline = time.monotonic() + _GONE_S
        while True:
            try:
                self._local.start()
                break
            except FatalError:
                # The killed one's backends still hold its shared memory.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        if self._hba:
            self._let_in()

    def _let_in(self) -> None:
        rules = self._data / "pg_hba.conf"
        text = rules.read_text("utf-8")
        missing = [line for line in self._hba if line not in text.splitlines()]
        rules.write_text("\n".join([text.rstrip("\n"), *missing, ""]), "utf-8")
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
