"""How many bytes of the log does a heartbeat take, alone and in the company of others?"""

from collections.abc import Sequence
from itertools import chain

from tests.evidence.database_figures import Figure, Scale
from tests.evidence.database_rows import (
    DATACENTERS,
    INTERVAL_S,
    batches,
    begin_terms,
    targets,
    yesterday,
)
from uptimeo.storage.database import Connection, connect, make_pool, one
from uptimeo.storage.heartbeats import HeartbeatStore

_SIZES = (1, 2, 10, 33, 100)
# 33 heartbeats a second of one datacenter, and as many of each size as fill a minute and a half.
_MONITORS, _ROWS = 1000, 3000
_PREPARED = "CREATE EXTENSION IF NOT EXISTS pg_walinspect"
_POSITION = "SELECT pg_current_wal_insert_lsn()::text"
_WAL = """
SELECT sum(record_size)::float8, sum(count) FILTER (
    WHERE "resource_manager/record_type" LIKE 'Transaction/COMMIT%%')::float8
FROM pg_get_wal_stats(%s, %s, true) WHERE count > 0
"""


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """The same rate in batches of each size; bytes are those of records, without whole pages."""
    del scale
    found: list[Figure] = []
    async with await connect(conninfo) as connection:
        await connection.execute(_PREPARED)
        await begin_terms(connection, yesterday())
        for size in _SIZES:
            found += await _of_size(conninfo, connection, size)
    return found


async def _of_size(conninfo: str, connection: Connection, size: int) -> Sequence[Figure]:
    seconds = _ROWS / _MONITORS * INTERVAL_S
    sent = list(chain.from_iterable(batches(targets(_MONITORS), DATACENTERS[0], seconds, 1000)))
    await connection.execute("TRUNCATE heartbeats, rollup_dirty")
    before = await one(connection, _POSITION)
    async with make_pool(conninfo, 1) as pool:
        store = HeartbeatStore(pool, DATACENTERS[0])
        for first in range(0, len(sent), size):
            done = await store.ingest(sent[first : first + size])
            assert not done.set_aside, set(done.set_aside.values())
    after = await one(connection, _POSITION)
    row = await (await connection.execute(_WAL, (before, after))).fetchone()
    assert row is not None
    total, commits = row
    return [
        Figure(name=f"batches of {size}: log", value=total / len(sent), unit="B/row"),
        Figure(name=f"batches of {size}: commits", value=commits / len(sent), unit="/row"),
    ]
