"""What waits to be rolled up, and what came of it? The calls behind the rollup tables."""

from dataclasses import dataclass
from datetime import datetime

from uptimeo.storage.database import Connection, Pool, borrowed, one

LEVELS = (5, 60, 1440)
_STEP = "SELECT rollup_step(%s, %s)"
_WAITING = "SELECT rollup_waiting(%s)"
_RECONCILE = "SELECT monitor_duty_reconcile()"
_DIFFERENCES = """
SELECT level, datacenter_id, bucket, monitor_id, what, raw, rolled
FROM rollup_differences(%s, %s) LIMIT %s
"""
# A step is one transaction: heartbeats for its buckets wait for it. The day of a datacenter is the
# largest there is.
_STEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure of a bucket that is not what its heartbeats say."""

    level: int
    datacenter: int
    bucket: datetime
    monitor: int
    what: str
    raw: str | None
    rolled: str | None


class RollupStore:
    """The tables `heartbeats_5m`, `heartbeats_1h`, `heartbeats_1d`, as the roller fills them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def step(self, level: int, limit: int) -> int:
        """Roll up at most `limit` buckets of that many minutes; answers with their number."""
        async with borrowed(self._pool, within_s=_STEP_S) as connection:
            return int(await one(connection, _STEP, (level, limit)))

    async def waiting(self, level: int) -> int:
        """How many buckets of that many minutes wait."""
        async with borrowed(self._pool) as connection:
            return int(await one(connection, _WAITING, (level,)))

    async def reconcile_duty(self) -> int:
        """Note the changes of duty that the triggers could not see; answers with their number."""
        async with borrowed(self._pool) as connection:
            return int(await one(connection, _RECONCILE))


async def differences(
    connection: Connection, since: datetime, until: datetime, limit: int
) -> list[Difference]:
    """Where raw and rolled disagree in the range, at most `limit`; raises errors of psycopg."""
    cursor = await connection.execute(_DIFFERENCES, (since, until, limit))
    return [
        Difference(
            level=level,
            datacenter=place,
            bucket=bucket,
            monitor=monitor,
            what=what,
            raw=raw,
            rolled=rolled,
        )
        for level, place, bucket, monitor, what, raw, rolled in await cursor.fetchall()
    ]
