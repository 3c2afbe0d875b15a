"""The table of running agents, leaders and standbys."""

import os
import socket
from datetime import datetime

from uptimeo import __version__
from uptimeo.domain.presence import Presence
from uptimeo.storage.database import Pool, borrowed

_REPORT = """
INSERT INTO agent_instances (agent_id, version, host, pid, started_at, last_seen, term,
                             spool_rows, spool_bytes, dropped)
VALUES (%(agent)s, %(version)s, %(host)s, %(pid)s, %(started_at)s, clock_timestamp(), %(term)s,
        %(rows)s, %(bytes)s, %(dropped)s)
ON CONFLICT (agent_id) DO UPDATE SET
    version = excluded.version, host = excluded.host, pid = excluded.pid,
    started_at = excluded.started_at, last_seen = excluded.last_seen, term = excluded.term,
    spool_rows = excluded.spool_rows, spool_bytes = excluded.spool_bytes, dropped = excluded.dropped
"""
_FORGET = "DELETE FROM agent_instances WHERE agent_id = %s AND pid = %s AND host = %s"


class InstanceStore:
    """The row of one agent in `agent_instances`."""

    def __init__(self, pool: Pool, agent_id: int, started_at: datetime) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._started_at = started_at
        self._host = socket.gethostname()

    async def report(self, presence: Presence) -> None:
        """Say that the agent lives, and how it is."""
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
        }
        async with borrowed(self._pool) as connection:
            await connection.execute(_REPORT, values)

    async def forget(self) -> None:
        """Take the row away at an orderly stop, unless another process has made it its own."""
        async with borrowed(self._pool) as connection:
            await connection.execute(_FORGET, (self._agent_id, os.getpid(), self._host))
