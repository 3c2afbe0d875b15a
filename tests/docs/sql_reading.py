"""Which days of heartbeats does a query read, itself or in a function?"""

import re

import psycopg

# A window of more than a day: `interval '30 days'`, or a day that is written out.
_LONG = re.compile(r"interval '(?:[2-9]|\d{2,}) days'|'2026-\d\d-\d\d")
_SCANS = """
SELECT relname, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables
WHERE relname LIKE 'heartbeats\\_2%'
"""
_FILLED = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'heartbeats'::regclass AND c.reltuples > 0 ORDER BY 1
"""


def asks_for_long(query: str) -> bool:
    """Whether its window is longer than a day."""
    return _LONG.search(query) is not None


def partitions_read(connection: psycopg.Connection, query: str) -> set[str]:
    """The days of heartbeats that hold any and of which the query, or a function in it, read."""
    # Scans of earlier transactions may still be counted, but none of others.
    with connection.transaction():
        before = _scans(connection)
        connection.execute(query.encode())
        after = _scans(connection)
    filled = {name for (name,) in connection.execute(_FILLED)}
    return {name for name, count in after.items() if count > before.get(name, 0)} & filled


def _scans(connection: psycopg.Connection) -> dict[str, int]:
    """How often this session scanned each day, by the index or whole."""
    return dict(connection.execute(_SCANS).fetchall())
