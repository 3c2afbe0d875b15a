"""How many heartbeats does PostgreSQL take in a second, fenced and without doubles?"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import median

from tests.evidence.database_figures import Figure, Scale
from tests.evidence.database_rows import (
    DATACENTERS,
    INTERVAL_S,
    batches,
    begin_terms,
    targets,
    yesterday,
)
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, Pool, connect, make_pool
from uptimeo.storage.heartbeats import HeartbeatStore

_ROWS = 30_000
_SIZES = (100, 500, 1000)
_MONITORS = 1000
_AT_LEAST = 30_000
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'api_heartbeats'::regclass AND attnum > 0 AND NOT attisdropped
"""
Sent = Mapping[DatacenterId, Sequence[str]]


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """Batches of three sizes over one and two connections, and plain COPY of the same rows.

    Each round begins with an empty table and a checkpoint.
    """
    sent = {datacenter: _bodies(datacenter) for datacenter in DATACENTERS[:2]}
    rates: dict[tuple[int, int], list[float]] = {}
    copied: list[float] = []
    async with await connect(conninfo) as connection, make_pool(conninfo, 2) as pool:
        await begin_terms(connection, yesterday())
        for _ in range(scale.rounds):
            for connections in (1, 2):
                for size in _SIZES:
                    await _empty(connection)
                    using = dict(list(sent.items())[:connections])
                    rate = await _rate(pool, using, size)
                    rates.setdefault((connections, size), []).append(rate)
            copied.append(await _copy_rate(connection))
    return _figures(rates, copied)


def _bodies(datacenter: DatacenterId) -> list[str]:
    seconds = _ROWS / _MONITORS * INTERVAL_S
    return list(chain.from_iterable(batches(targets(_MONITORS), datacenter, seconds, 1000)))


async def _empty(connection: Connection) -> None:
    await connection.execute("TRUNCATE api_heartbeats")
    await connection.execute("CHECKPOINT")


async def _rate(pool: Pool, sent: Sent, size: int) -> float:
    """Rows a second, each datacenter over a connection of its own."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for datacenter, bodies in sent.items():
            group.create_task(_send(HeartbeatStore(pool, datacenter), bodies, size))
    return sum(map(len, sent.values())) / (time.perf_counter() - began)


async def _send(store: HeartbeatStore, bodies: Sequence[str], size: int) -> None:
    for start in range(0, len(bodies), size):
        batch = bodies[start : start + size]
        done = await store.ingest(batch)
        assert done.inserted == len(batch), set(done.set_aside.values())


async def _copy_rate(connection: Connection) -> float:
    """Rows a second of one COPY of what is in the table into the same table, emptied."""
    async with connection.cursor() as cursor:
        await cursor.execute(_COLUMNS)
        columns = (await cursor.fetchone() or ("",))[0]
        source = f"COPY (SELECT {columns} FROM api_heartbeats) TO STDOUT (FORMAT binary)"
        async with cursor.copy(source.encode()) as copy:
            blocks = [bytes(block) async for block in copy]
        await _empty(connection)
        began = time.perf_counter()
        target = f"COPY api_heartbeats ({columns}) FROM STDIN (FORMAT binary)"
        async with cursor.copy(target.encode()) as copy:
            await copy.write(b"".join(blocks))
        return cursor.rowcount / (time.perf_counter() - began)


def _figures(
    rates: Mapping[tuple[int, int], Sequence[float]], copied: Sequence[float]
) -> list[Figure]:
    wanted = (2, _SIZES[-1])
    found = [
        Figure(
            name=f"{size} a batch, {connections} connection(s): {what}",
            value=value,
            unit="rows/s",
            at_least=_AT_LEAST if what == "best" and (connections, size) == wanted else None,
        )
        for (connections, size), each in rates.items()
        for what, value in (("best", max(each)), ("median", median(each)))
    ]
    ceiling = max(copied)
    one_connection = max(rates[1, _SIZES[-1]])
    return [
        *found,
        Figure(name="plain COPY, 1 connection: best", value=ceiling, unit="rows/s"),
        Figure(
            name="guarded, 1000 a batch, 1 connection, against COPY",
            value=100 * one_connection / ceiling,
            unit="%",
        ),
    ]
