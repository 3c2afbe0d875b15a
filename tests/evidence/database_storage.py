"""How many bytes does a healthy heartbeat take, on disk and in the log, and for what?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.evidence.database_figures import Figure, Scale
from tests.evidence.database_rows import (
    DATACENTERS,
    INTERVAL_S,
    begin_terms,
    interleaved,
    targets,
    yesterday,
)
from uptimeo.storage.database import Connection, connect, make_pool, one
from uptimeo.storage.heartbeats import HeartbeatStore

# What a leader of a thousand monitors has after three seconds.
_BATCH = 100
_CHECKPOINT_S = 300
_MAX_BYTES, _MAX_WAL_BYTES = 170, 300
_WORTH_A_LINE = 0.05
_PAGE, _PAGE_HEADER, _LINE_POINTER, _TUPLE_HEADER = 8192, 24, 4, 23
_EXTENSIONS = """
CREATE EXTENSION IF NOT EXISTS pgstattuple;
CREATE EXTENSION IF NOT EXISTS pg_walinspect;
"""
_POSITION = "SELECT pg_current_wal_insert_lsn()::text"
_HEAP = "SELECT table_len, tuple_count, tuple_len FROM pgstattuple(%s)"
_INDEXES = """
SELECT c.relname, pg_relation_size(c.oid), s.avg_leaf_density
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL pgstatindex(c.oid::regclass) s
WHERE i.indrelid = %s::regclass ORDER BY 1
"""
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_WAL = """
SELECT "resource_manager/record_type", record_size, fpi_size
FROM pg_get_wal_stats(%s, %s, true) WHERE count > 0
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the log, and how many rows had been sent by then."""

    rows: int
    position: str


@dataclass(frozen=True, slots=True)
class Logged:
    """What a part of the log holds of `rows`: bytes by kind of record, and of whole pages."""

    rows: int
    records: Mapping[str, int]
    page_images: int


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """Store a day or a part of it; the log is that of the last quarter."""
    async with await connect(conninfo) as connection:
        await connection.execute(_EXTENSIONS)
        logged, five_minutes = await _store(conninfo, connection, scale)
        partition = f"heartbeats_{yesterday():%Y%m%d}"
        await connection.execute(f"VACUUM (FREEZE, ANALYZE) {partition}".encode())
        heap, inside = await _heap(connection, partition)
        indexes = await _indexes(connection, partition)
        columns = await _columns(connection, partition)
    total = sum(figure.value for figure in (heap, *indexes))
    return [
        Figure(name="heap and indexes", value=total, unit="B/row", at_most=_MAX_BYTES),
        heap,
        *inside,
        *_padding(inside, columns),
        *columns,
        *indexes,
        *_of_the_log(logged, five_minutes),
    ]


async def _store(conninfo: str, connection: Connection, scale: Scale) -> tuple[Logged, Logged]:
    """Send everything; what the log has of the last quarter, and of its first five minutes."""
    await begin_terms(connection, yesterday())
    watched, seconds = targets(scale.monitors), scale.hours * 3600
    total = int(len(DATACENTERS) * scale.monitors * seconds / INTERVAL_S)
    interval = int(len(DATACENTERS) * scale.monitors * _CHECKPOINT_S / INTERVAL_S)
    sent, marks = 0, list[Mark]()
    async with make_pool(conninfo, 1) as pool:
        for datacenter, bodies in interleaved(watched, seconds, _BATCH):
            if not marks and sent >= total * 3 / 4:
                await connection.execute("CHECKPOINT")
                marks.append(await _mark(connection, sent))
            if len(marks) == 1 and sent >= marks[0].rows + interval:
                marks.append(await _mark(connection, sent))
            done = await HeartbeatStore(pool, datacenter).ingest(bodies)
            assert done.inserted == len(bodies), set(done.set_aside.values())
            sent += len(bodies)
    marks.append(await _mark(connection, sent))
    return await _logged(connection, marks[0], marks[-1]), await _logged(connection, *marks[:2])


async def _mark(connection: Connection, rows: int) -> Mark:
    return Mark(rows, await one(connection, _POSITION))


async def _logged(connection: Connection, first: Mark, last: Mark) -> Logged:
    found = await (await connection.execute(_WAL, (first.position, last.position))).fetchall()
    records = {kind: int(size) for kind, size, _ in found}
    return Logged(last.rows - first.rows, records, sum(int(images) for *_, images in found))


async def _heap(connection: Connection, partition: str) -> tuple[Figure, list[Figure]]:
    """The table, and what of it is no column."""
    row = await (await connection.execute(_HEAP, (partition,))).fetchone()
    assert row is not None
    size, tuples, inside = row
    pages = size / 8192
    parts = {
        "tuples": inside / tuples,
        "line pointers": float(_LINE_POINTER),
        "page headers": pages * _PAGE_HEADER / tuples,
        "free, and what aligns the tuples": (size - inside - pages * _PAGE_HEADER) / tuples
        - _LINE_POINTER,
    }
    whole = Figure(name="heap", value=size / tuples, unit="B/row")
    return whole, [
        Figure(name=f"  {name}", value=value, unit="B/row") for name, value in parts.items()
    ]


async def _columns(connection: Connection, partition: str) -> list[Figure]:
    """What the values take, on average; a column that is NULL takes nothing."""
    names = [
        name for (name,) in await (await connection.execute(_COLUMNS, (partition,))).fetchall()
    ]
    sums = ", ".join(f"avg(coalesce(pg_column_size({name}), 0))::float8" for name in names)
    query = f"SELECT count(*), {sums} FROM {partition} TABLESAMPLE SYSTEM (20)"
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return [
        Figure(name=f"    {name}", value=value, unit="B/row")
        for name, value in zip(names, row[1:], strict=True)
        if value
    ]


def _padding(inside: Sequence[Figure], columns: Sequence[Figure]) -> list[Figure]:
    tuple_bytes, values = inside[0].value, sum(figure.value for figure in columns)
    rest = tuple_bytes - _TUPLE_HEADER - values
    return [
        Figure(name="    tuple header", value=_TUPLE_HEADER, unit="B/row"),
        Figure(name="    null bitmap and alignment", value=rest, unit="B/row"),
    ]


async def _indexes(connection: Connection, partition: str) -> list[Figure]:
    found = await (await connection.execute(_INDEXES, (partition,))).fetchall()
    count = await one(connection, f"SELECT count(*) FROM {partition}")
    return [
        Figure(name=f"index {name} ({density:.0f} % full)", value=size / count, unit="B/row")
        for name, size, density in found
    ]


def _of_the_log(logged: Logged, after: Logged) -> list[Figure]:
    kinds = sorted(logged.records.items(), key=lambda pair: -pair[1])
    total = sum(logged.records.values()) / logged.rows
    return [
        Figure(name="write-ahead log", value=total, unit="B/row", at_most=_MAX_WAL_BYTES),
        *(
            Figure(name=f"  {kind}", value=size / logged.rows, unit="B/row")
            for kind, size in kinds
            if size / logged.rows > _WORTH_A_LINE
        ),
        Figure(
            name="images of pages, a checkpoint every 5 minutes",
            value=after.page_images / after.rows,
            unit="B/row",
        ),
    ]
