"""How many heartbeats does PostgreSQL take in a second, fenced and without doubles?"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
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
_AT_LEAST, _JUDGED = 30_000, (2, 1000)
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'heartbeats'::regclass AND attnum > 0 AND NOT attisdropped
"""
Sent = Mapping[DatacenterId, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """Rows a second, and the processor time of a row in us; the server's is 0 on another host."""

    rate: float
    server_us: float
    client_us: float


Runs = Mapping[tuple[int, int], Sequence[Run]]


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """Batches of three sizes over one and two connections, and plain COPY of the same rows.

    Each round begins with an empty table and a checkpoint.
    """
    sent = {datacenter: _bodies(datacenter) for datacenter in DATACENTERS[:2]}
    runs: dict[tuple[int, int], list[Run]] = {}
    copied: list[float] = []
    async with await connect(conninfo) as connection, make_pool(conninfo, 2) as pool:
        await begin_terms(connection, yesterday())
        for _ in range(scale.rounds):
            for connections in (1, 2):
                for size in _SIZES:
                    await _empty(connection)
                    using = dict(list(sent.items())[:connections])
                    run = await _run(connection, pool, using, size)
                    runs.setdefault((connections, size), []).append(run)
            copied.append(await _copy_rate(connection))
    return [*_figures(runs), *_against_copy(runs, copied)]


def _bodies(datacenter: DatacenterId) -> list[str]:
    seconds = _ROWS / _MONITORS * INTERVAL_S
    return list(chain.from_iterable(batches(targets(_MONITORS), datacenter, seconds, 1000)))


async def _empty(connection: Connection) -> None:
    await connection.execute("TRUNCATE heartbeats")
    await connection.execute("CHECKPOINT")


async def _run(connection: Connection, pool: Pool, sent: Sent, size: int) -> Run:
    """Send it all, each datacenter over a connection of its own."""
    rows = sum(map(len, sent.values()))
    before, began = await _spent(connection), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for datacenter, bodies in sent.items():
            group.create_task(_send(HeartbeatStore(pool, datacenter), bodies, size))
    took, after = time.perf_counter() - began, await _spent(connection)
    return Run(rows / took, *((b - a) / rows for a, b in zip(before, after, strict=True)))


async def _spent(connection: Connection) -> tuple[float, float]:
    """Processor time in us of all processes of the server that are alive, and of our own."""
    pids = await (await connection.execute("SELECT pid FROM pg_stat_activity")).fetchall()
    files = (Path(f"/proc/{pid}/schedstat") for (pid,) in pids)
    server = sum(int(file.read_text().split()[0]) for file in files if file.exists())
    return server / 1000, time.process_time() * 1e6


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
        source = f"COPY (SELECT {columns} FROM heartbeats) TO STDOUT (FORMAT binary)"
        async with cursor.copy(source.encode()) as copy:
            blocks = [bytes(block) async for block in copy]
        await _empty(connection)
        began = time.perf_counter()
        target = f"COPY heartbeats ({columns}) FROM STDIN (FORMAT binary)"
        async with cursor.copy(target.encode()) as copy:
            await copy.write(b"".join(blocks))
        return cursor.rowcount / (time.perf_counter() - began)


def _figures(runs: Runs) -> Iterator[Figure]:
    for (connections, size), each in runs.items():
        what = f"{size} a batch, {connections} connection(s)"
        rates = [run.rate for run in each]
        limit = _AT_LEAST if (connections, size) == _JUDGED else None
        yield Figure(name=f"{what}: best", value=max(rates), unit="rows/s", at_least=limit)
        yield Figure(name=f"{what}: median", value=median(rates), unit="rows/s")
    server = min(run.server_us for run in runs[_JUDGED])
    client = min(run.client_us for run in runs[_JUDGED])
    yield Figure(name="  of it processor time of the server", value=server, unit="us/row")
    yield Figure(name="  of it processor time of the client", value=client, unit="us/row")


def _against_copy(runs: Runs, copied: Sequence[float]) -> Iterator[Figure]:
    yield Figure(name="plain COPY, 1 connection: best", value=max(copied), unit="rows/s")
    share = 100 * max(run.rate for run in runs[1, _SIZES[-1]]) / max(copied)
    yield Figure(name="1000 a batch, 1 connection, against COPY", value=share, unit="%")
