"""Where do the rollups of months come from, if there are heartbeats of days?

The roller makes those of the last days. Those before are copies of one whole day of them, moved
back by days: as many rows, as large, in the same order, and the same in each of the days.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.history import quiet
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.rollups import LEVELS

DAY = timedelta(days=1)
TABLES = ("heartbeats_5m", "heartbeats_1h", "heartbeats_1d")
_CUT_BY_TIME = TABLES[:2]
_STEP_BUCKETS = 12
# As an agent does. A roller that makes one itself keeps the others from it until it is done.
_ENSURE = "SELECT partitions_ensure(parent) FROM partition_plans"
_BEGIN = """
INSERT INTO rollup_progress
SELECT level, datacenter_id, %(since)s
FROM unnest(%(levels)s::int[]) level, (SELECT DISTINCT datacenter_id FROM agent_terms) d
"""
_STEP = "SELECT rollup_step(%s, %s)"
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
_COPY = """
INSERT INTO {table} ({columns})
SELECT {moved} FROM {table} WHERE bucket >= %(day)s AND bucket < %(day)s + interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """The rows of the model day of one table, so many days earlier."""

    table: str
    days_back: int


async def roll(conninfo: str, since: datetime, *, rollers: int = 1) -> None:
    """Have the roller begin at that moment, yesterday or today, and work off what has passed."""
    async with await connect(conninfo) as connection:
        await connection.execute(_ENSURE)
        await connection.execute(_BEGIN, {"since": since, "levels": list(LEVELS)})

    async def work(level: int) -> None:
        async with await connect(conninfo) as connection:
            while await one(connection, _STEP, (level, _STEP_BUCKETS)):
                pass

    for level in LEVELS:
        await asyncio.gather(*(work(level) for _ in range(rollers)))


async def copy(
    conninfo: str, day: datetime, copies: Iterable[Copy], *, connections: int = 1
) -> int:
    """Copy the rows of the UTC day that begins then; answers with the number of new rows."""
    waiting = list(copies)

    async def some() -> int:
        count = 0
        async with await quiet(conninfo) as connection:
            while waiting:
                count += await _copy(connection, day, waiting.pop(0))
        return count

    return sum(await asyncio.gather(*(some() for _ in range(connections))))


async def _copy(connection: Connection, day: datetime, wanted: Copy) -> int:
    columns = str(await one(connection, _COLUMNS, (wanted.table,)))
    moved = columns.replace("bucket", "bucket - %(back)s", 1)
    statement = _COPY.format(table=wanted.table, columns=columns, moved=moved)
    back = wanted.days_back * DAY
    if wanted.table in _CUT_BY_TIME:
        await connection.execute("SELECT partition_for(%s, %s)", (wanted.table, day - back))
    return (await connection.execute(statement.encode(), {"day": day, "back": back})).rowcount
