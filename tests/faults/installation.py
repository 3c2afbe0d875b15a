"""Everything a fault needs: a server, a target, monitors, agents, and afterwards the history."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tests.faults.history import History, read_history
from tests.faults.server import Server
from tests.faults.target import Target, target
from tests.support.agents import Running, running
from tests.support.servers import HOST
from uptimeo.storage.database import Connection, connect
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, add_monitor
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.storage.schema import migrate

DATACENTER = 1


class Installation:
    """One server, one target and the agents of datacenter 1. Made by `installation`."""

    def __init__(self, directory: Path, server: Server, its_target: Target) -> None:
        self.directory = directory
        self.server = server
        self.target = its_target
        self.dsn = server.dsn
        self.interval_s = 1

    async def add_monitors(self, count: int, interval_s: int = 1) -> list[int]:
        """Add monitors of the target, all with that interval; answers with their ids."""
        self.interval_s = interval_s
        schedule = NewSchedule(interval_s=interval_s, warning_ms=5000)
        async with await connect(self.dsn) as connection, connection.transaction():
            ids = []
            for number in range(count):
                new = NewMonitor(
                    name=f"monitor {number}",
                    type="HTTP",
                    url=self.target.url(),
                    schedule=schedule,
                )
                ids.append(await add_monitor(connection, new))
            await connection.execute(
                "UPDATE api_monitors SET url = url || id WHERE id = ANY(%s)", (ids,)
            )
        return ids

    def agent(
        self, name: str, *, wrap: Sequence[str] = (), **environment: str
    ) -> AbstractAsyncContextManager[Running]:
        """A running agent, killed at the end if it still runs; started again it keeps its spool.

        Heartbeats leave no line in its log unless `LOG_HEARTBEATS` says so.
        """
        defaults = {
            "DB_CONN_STRING": self.dsn,
            "DATACENTER_ID": str(DATACENTER),
            "UPTIMEO_DATA_DIR": str(self.data_dir(name)),
            "UPTIMEO_INSTANCE": name,
            "LOG_HEARTBEATS": "none",
        }
        return running("agent", wrap=wrap, **(defaults | environment))

    def data_dir(self, name: str) -> Path:
        """The directory of that agent."""
        return self.directory / "agents" / name

    async def connect(self) -> Connection:
        """A connection to the database, as a context manager closes it."""
        return await connect(self.dsn)

    async def history(self) -> History:
        """What is recorded by now, in the database and in the spools of agents that have ended."""
        spools = sorted((self.directory / "agents").glob("*/spool"))
        return await read_history(self.dsn, spools, self.interval_s, DATACENTER)


@asynccontextmanager
async def installation(
    *, options: Sequence[str] = (), hba: Sequence[str] = (), target_host: str = HOST
) -> AsyncIterator[Installation]:
    """A migrated installation with the nine datacenters; nothing of it is left at the end.

    `options` are settings of the server, as `fsync=off` where nothing has to survive a crash of
    it; `hba` lines let in more than the local user.
    """
    # Not below a private directory: the server's user must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="uptimeo-fault-"))
    directory.chmod(0o711)
    server = Server(directory, options=options, hba=hba)
    try:
        async with target(target_host) as its_target:
            try:
                await server.start()
                await asyncio.to_thread(migrate, server.dsn)
                async with await connect(server.dsn) as connection:
                    await add_sample_datacenters(connection)
                yield Installation(directory, server, its_target)
            finally:
                await server.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
