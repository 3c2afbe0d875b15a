"""Batches of heartbeats into `api_heartbeats`, and the days that are ready for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from uptimeo.domain.heartbeat import Ingested
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.domain.text import storable
from uptimeo.storage.database import Connection, Pool, borrowed, one

_INGEST = """
SELECT inserted, duplicate, aside_positions, aside_reasons FROM heartbeats_ingest(%s, %s::jsonb)
"""
_SET_ASIDE = "SELECT heartbeat_set_aside(%s, %s, %s)"
_ENSURE_PARTITIONS = "SELECT partitions_ensure(%s)"
# In this order, each by itself: heartbeats must not wait for what may be missing.
_CUT = ("api_heartbeats", "heartbeat_evidence")
_HAS_TODAY = """
SELECT to_regclass('api_heartbeats_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD'))
       IS NOT NULL
"""
_LATEST_SLOTS = "SELECT monitor_id, slot FROM latest_slots(%s)"
# Several days at once, each of which may wait for a lock.
_PARTITIONS_S = 60.0


class HeartbeatStore:
    """The table `api_heartbeats`, as the agent of one datacenter writes it."""

    def __init__(self, pool: Pool, datacenter: DatacenterId) -> None:
        self._pool = pool
        self._datacenter = datacenter

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        """Store a batch, fenced and without doubles, in one transaction."""
        batch = f"[{','.join(bodies)}]"
        async with borrowed(self._pool) as connection:
            cursor = await connection.execute(_INGEST, (self._datacenter, batch))
            row = await cursor.fetchone()
        assert row is not None
        inserted, duplicate, positions, reasons = row
        aside = dict(zip(positions, reasons, strict=True))
        return Ingested(inserted=inserted, duplicate=duplicate, set_aside=aside)

    async def set_aside(self, body: str, reason: str) -> None:
        """Keep a row that `ingest` refuses in `api_heartbeats_set_aside`."""
        shown = (storable(text, len(text) + 1) for text in (reason, body))
        async with borrowed(self._pool) as connection:
            await connection.execute(_SET_ASIDE, (self._datacenter, *shown))

    async def latest_slots(self) -> Mapping[MonitorId, datetime]:
        """The newest slot of each enabled monitor that has a heartbeat here since yesterday."""
        async with borrowed(self._pool) as connection:
            cursor = await connection.execute(_LATEST_SLOTS, (self._datacenter,))
            return {MonitorId(monitor): slot for monitor, slot in await cursor.fetchall()}

    async def ensure_partitions(self) -> list[str]:
        """Make the partitions from yesterday on that are missing; answers with their names."""
        async with borrowed(self._pool, within_s=_PARTITIONS_S) as connection:
            return await ensure_partitions(connection)


async def ensure_partitions(connection: Connection) -> list[str]:
    """As the method, on that connection, before there is a pool; raises errors of psycopg."""
    made = []
    for parent in _CUT:
        cursor = await connection.execute(_ENSURE_PARTITIONS, (parent,))
        made += [name for (name,) in await cursor.fetchall()]
    return made


async def has_partition_today(connection: Connection) -> bool:
    """Whether there is a day for the heartbeats of now; raises errors of psycopg."""
    return bool(await one(connection, _HAS_TODAY))
