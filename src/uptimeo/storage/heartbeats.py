"""Batches of heartbeats into `api_heartbeats`, and what is known of the newest there."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from uptimeo.domain.heartbeat import Ingested
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.domain.text import storable
from uptimeo.storage.database import Pool, borrowed

_INGEST = """
SELECT inserted, duplicate, aside_positions, aside_reasons FROM heartbeats_ingest(%s, %s::jsonb)
"""
_SET_ASIDE = "SELECT heartbeat_set_aside(%s, %s, %s)"
_LATEST_SLOTS = "SELECT monitor_id, slot FROM latest_slots(%s)"


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
