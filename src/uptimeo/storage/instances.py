"""The table of running agents, leaders and standbys."""

import os
import socket
from datetime import datetime

from psycopg.types.json import Jsonb

from uptimeo import __version__
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook
from uptimeo.domain.presence import Presence
from uptimeo.storage.database import Connection, Pool, borrowed, one

_REPORT = "SELECT agent_report(%s, %s, %s)"
_PEER_KEY = "SELECT peer_key(%s)"
_PEERS = "SELECT peer_address FROM agent_peers(%s, %s)"
_FORGET = "SELECT agent_forget(%s, %s, %s, %s)"


async def peer_book(connection: Connection, datacenter: DatacenterId, agent_id: int) -> PeerBook:
    """The other agents of the datacenter, those seen last first, and the key that all share."""
    key = bytes(await one(connection, _PEER_KEY, (datacenter,)))
    rows = await (await connection.execute(_PEERS, (datacenter, agent_id))).fetchall()
    return PeerBook(key=key, addresses=tuple(address for (address,) in rows))


class InstanceStore:
    """The row of one agent in `agent_instances`."""

    def __init__(
        self, pool: Pool, datacenter: DatacenterId, agent_id: int, started_at: datetime
    ) -> None:
        self._pool = pool
        self._datacenter = datacenter
        self._agent_id = agent_id
        self._started_at = started_at
        self._host = socket.gethostname()

    async def report(self, presence: Presence) -> PeerBook:
        """Say that the agent lives, and how it is; answers with who else is there."""
        state = {
            "version": __version__,
            "host": self._host,
            "pid": os.getpid(),
            "started_at": self._started_at.isoformat(),
            "term": presence.term,
            "spool_rows": presence.spool.rows,
            "spool_bytes": presence.spool.bytes,
            "dropped": presence.spool.dropped,
            "peer_address": presence.peer_address,
            "peers_heard": presence.peers_heard,
            "loop_lag_p99_ms": presence.loop_lag_p99_ms,
        }
        async with borrowed(self._pool) as connection:
            await connection.execute(_REPORT, (self._datacenter, self._agent_id, Jsonb(state)))
            return await peer_book(connection, self._datacenter, self._agent_id)

    async def forget(self) -> None:
        """Take the row away at an orderly stop, unless another process has made it its own."""
        async with borrowed(self._pool) as connection:
            mine = self._datacenter, self._agent_id, os.getpid(), self._host
            await connection.execute(_FORGET, mine)
