"""What would an adoption do, how long would it take, and how much space does it need?"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from uptimeo.storage.adoption import conversion, staging
from uptimeo.storage.adoption.adopting import as_owner
from uptimeo.storage.adoption.older import CONFIG, CONTRACT, HEARTBEATS, Column, Driver, Older, find

_SAMPLE_ROWS = 20_000
# The copy passes each row through temporary tables, finds its traits, writes WAL and keeps
# partitions: seven times what the sample takes, as measured with a million rows.
_SAMPLE_FACTOR = 7.0
_SHOWN = 1000
_JSON = ("headers", "body")
_COUNTS = """
SELECT count(*), min(executed_at)::text, max(executed_at)::text,
       count(*) FILTER (WHERE a.datacenter_id IS NULL),
       count(*) FILTER (WHERE o.monitor_id IS NULL),
       count(*) FILTER (WHERE o.executed_at IS NULL OR o.executed_at < '1970-01-01'
                        OR o.executed_at >= '9999-12-31'),
       count(*) FILTER (WHERE o.success IS NULL)
FROM {schema}.api_heartbeats o LEFT JOIN {schema}.agents a ON a.id = o.agent_id
"""
_MEANINGS = (
    "of no known agent: their datacenter_id will be 0",
    "without monitor: their monitor_id will be 0",
    "without a usable time: their slot will be in 1970 or 9999",
    "without success: their status will be unknown",
)
_CHANGED = """
SELECT o.id, left(o.{column}::text, 60), left(c.{column}::text, 60)
FROM {schema}.{table} o JOIN uptimeo_older.{view} c USING (id)
WHERE o.{column}::text IS DISTINCT FROM c.{column}::text ORDER BY o.id LIMIT {limit}
"""
_ADDED = """
SELECT c.id, c.code FROM uptimeo_older.converted_datacenters c
WHERE c.id NOT IN (SELECT id FROM {schema}.datacenters) ORDER BY c.id
"""
_DROPPED = """
SELECT o.datacenter_id, o.monitor_id FROM {schema}.datacenter_monitors o
EXCEPT ALL SELECT c.datacenter_id, c.monitor_id FROM uptimeo_older.converted_datacenter_monitors c
ORDER BY 1, 2 LIMIT {limit}
"""
# As wide as what is stored of a heartbeat beside what it shares with others; the index on the
# start is as large as one on the slot.
_SAMPLE = """
SELECT id, scheduled_at, 0::real AS late_ms, monitor_id, 0 AS traits_id, response_size_bytes,
       response_time_ms::real, dns_lookup_ms::real, tcp_connect_ms::real, tls_handshake_ms::real,
       time_to_first_byte_ms::real, datacenter_id::smallint, 'u'::"char" AS status,
       concat(error_message, raw_request_headers, raw_response_headers, raw_response_body) AS rest
FROM ({converted}) h
"""
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(r)), 0)::bigint
FROM uptimeo_older.older_relations(%s::name) r
"""
_READERS = """
SELECT format('the view %%s is made anew', name) FROM uptimeo_older.views_on(%(s)s::name)
UNION ALL
SELECT format('the foreign key %%s of %%s is made anew', name, child)
FROM uptimeo_older.references_to(%(s)s::name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is there and what will be; `notes` are sentences, one for each thing that changes."""

    schema: str
    heartbeats: int
    oldest: str | None
    newest: str | None
    older_bytes: int
    new_bytes: int
    seconds: float
    notes: tuple[str, ...]


def forecast(driver: Driver) -> Forecast | None:
    """Look, and leave nothing behind; None if there are no older tables.

    Reads all heartbeats once. Raises FatalError if they cannot be adopted.
    """
    older = find(driver)
    if older is None:
        return None
    with as_owner(driver, older.owner), driver.transaction(force_rollback=True):
        staging.run_file(driver, "begin.sql")
        staging.run_file(driver, "swap.sql")
        for table in CONFIG:
            select = conversion.config(older, table, {})
            staging.view_as(driver, f"converted_{table}", select)
        return _examine(driver, older)


def _examine(driver: Driver, older: Older) -> Forecast:
    row = driver.execute(sql.SQL(_COUNTS).format(schema=_schema(older))).fetchone()
    assert row is not None
    total, oldest, newest, *counts = row
    size = driver.execute(_SIZE, (older.schema,)).fetchone()
    seconds, bytes_a_row = _sample(driver, older)
    rows = [
        f"{count} heartbeats {meaning}"
        for count, meaning in zip(counts, _MEANINGS, strict=True)
        if count
    ]
    return Forecast(
        schema=older.schema,
        heartbeats=total,
        oldest=oldest,
        newest=newest,
        older_bytes=size[0] if size else 0,
        new_bytes=round(bytes_a_row * total),
        seconds=seconds * total * _SAMPLE_FACTOR,
        notes=(*rows, *_changes(driver, older), *_readers(driver, older), *_kept(older)),
    )


def _changes(driver: Driver, older: Older) -> list[str]:
    notes: list[str] = []
    for table, names in CONFIG.items():
        columns = [name for name in names.split() if name not in ("id", *_JSON)]
        for column in columns if table != "datacenter_monitors" else ():
            query = sql.SQL(_CHANGED).format(
                schema=_schema(older),
                table=sql.Identifier(table),
                view=sql.Identifier(f"converted_{table}"),
                column=sql.Identifier(column),
                limit=_SHOWN,
            )
            notes += [
                f"{table} {number}: {column} {_said(was)} becomes {_said(becomes)}"
                for number, was, becomes in driver.execute(query)
            ]
    added = driver.execute(sql.SQL(_ADDED).format(schema=_schema(older)))
    notes += [f"datacenters {n}: made as {code!r}, since rows name it" for n, code in added]
    dropped = driver.execute(sql.SQL(_DROPPED).format(schema=_schema(older), limit=_SHOWN))
    return notes + [
        f"datacenter_monitors ({_said(d)}, {_said(m)}): left out, twice there or naming nothing"
        for d, m in dropped
    ]


def _readers(driver: Driver, older: Older) -> list[str]:
    return [text for (text,) in driver.execute(_READERS, {"s": older.schema})]


def _kept(older: Older) -> list[str]:
    return [
        f"{table}.{name} is kept, {column.type}"
        for table in CONTRACT
        for name, column in older.beyond(table).items()
    ]


def _sample(driver: Driver, older: Older) -> tuple[float, float]:
    """Seconds and bytes for one heartbeat, by copying some."""
    ours: Mapping[str, Column] = {
        name: older.tables["api_heartbeats"].get(name, Column("integer", None))
        for name in ("scheduled_at", "datacenter_id", *HEARTBEATS.split())
    }
    converted = sql.SQL(conversion.heartbeats(older, ours, {}))
    select = sql.SQL(_SAMPLE).format(converted=converted)
    make = sql.SQL("CREATE TEMPORARY TABLE adoption_sample AS {} WITH NO DATA").format(select)
    driver.execute(make)
    driver.execute(
        "CREATE INDEX ON adoption_sample (monitor_id, datacenter_id, scheduled_at);"
        "CREATE INDEX ON adoption_sample (scheduled_at)"
    )
    began = time.perf_counter()
    cursor = driver.execute(
        sql.SQL("INSERT INTO adoption_sample {} LIMIT {}").format(select, _SAMPLE_ROWS)
    )
    took = time.perf_counter() - began
    size = driver.execute("SELECT pg_total_relation_size('adoption_sample')").fetchone()
    rows = max(cursor.rowcount, 1)
    return took / rows, (size[0] if size else 0) / rows


def _schema(older: Older) -> sql.Identifier:
    return sql.Identifier(older.schema)


def _said(value: object) -> str:
    return "NULL" if value is None else repr(value)
