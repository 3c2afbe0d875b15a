"""The table of running agents, leaders and standbys."""

import os
import socket
from datetime import datetime

from uptimeo import __version__
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook
from uptimeo.domain.presence import Presence
from uptimeo.storage.database import Connection, Pool, borrowed, one

_REPORT = """
INSERT INTO agent_instances (agent_id, version, host, pid, started_at, last_seen, term,
                             spool_rows, spool_bytes, dropped, peer_address, peers_heard,
                             loop_lag_p99_ms)
VALUES (%(agent)s, %(version)s, %(host)s, %(pid)s, %(started_at)s, clock_timestamp(), %(term)s,
        %(rows)s, %(bytes)s, %(dropped)s, %(peer_address)s, %(peers_heard)s,
        %(loop_lag)s)
ON CONFLICT (agent_id) DO UPDATE SET
    version = excluded.version, host = excluded.host, pid = excluded.pid,
    started_at = excluded.started_at, last_seen = excluded.last_seen, term = excluded.term,
    spool_rows = excluded.spool_rows, spool_bytes = excluded.spool_bytes,
    dropped = excluded.dropped, peer_address = excluded.peer_address,
    peers_heard = excluded.peers_heard, loop_lag_p99_ms = excluded.loop_lag_p99_ms
"""
_PEER_KEY = "SELECT peer_key(%s)"
# One that has not been seen for an hour does not take over within the seconds that matter.
_PEERS = """
SELECT i.peer_address FROM agent_instances i JOIN agents a ON a.id = i.agent_id
WHERE a.datacenter_id = %s AND a.id <> %s AND i.peer_address IS NOT NULL
  AND i.last_seen > clock_timestamp() - interval '1 hour'
ORDER BY i.last_seen DESC LIMIT 32
"""
_FORGET = "DELETE FROM agent_instances WHERE agent_id = %s AND pid = %s AND host = %s"


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
        values = {
            "agent": self._agent_id,
            "version": __version__,
            "host": self._host,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "term": presence.term,
            "rows": presence.spool.rows,
            "bytes": presence.spool.bytes,
            "dropped": presence.spool.dropped,
            "peer_address": presence.peer_address,
            "peers_heard": presence.peers_heard,
            "loop_lag": presence.loop_lag_p99_ms,
        }
        async with borrowed(self._pool) as connection:
            await connection.execute(_REPORT, values)
            return await peer_book(connection, self._datacenter, self._agent_id)

    async def forget(self) -> None:
        """Take the row away at an orderly stop, unless another process has made it its own."""
        async with borrowed(self._pool) as connection:
            await connection.execute(_FORGET, (self._agent_id, os.getpid(), self._host))
