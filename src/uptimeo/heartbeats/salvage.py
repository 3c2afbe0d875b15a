"""What can be saved of a damaged file?"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from uptimeo.heartbeats.spool_file import ROWS, as_text, has_checksums, removals
from uptimeo.heartbeats.spooled import Spooled, as_stored

_WINDOW = 256
_MOST = 5_000_000


def salvage(path: Path, after: int = 0, last: int = 0) -> Iterator[list[Spooled]]:
    """The rows of a damaged file that can still be read, in groups, by ascending numbers.

    Begins behind number `after`; `last` is the highest number that is known to have been there,
    0 if none is. The file is read by ranges of numbers, so that one bad page costs the rows on
    it and no more. Some of them may have been sent already: sending them again is harmless.
    """
    with suppress(sqlite3.Error), closing(_read_only(path)) as db:
        query = ROWS if has_checksums(db) else ROWS.replace("crc", "NULL")
        last = _last(db, after, last)
        at = _next(db, after + 1)
        while at is not None and at <= last:
            yield [row for row in _rows(db, query, at, at + _WINDOW) if row.body]
            at = _next(db, at + _WINDOW)


def removals_in(path: Path) -> int | None:
    """How often rows were removed from a damaged file, if it still says so."""
    with suppress(sqlite3.Error), closing(_read_only(path)) as db:
        return removals(db)
    return None


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing and reads whatever it can."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=2.0, check_same_thread=False)
    db.text_factory = as_text
    db.execute("PRAGMA writable_schema = ON")  # else a file that was cut short is refused as such
    return db


def _last(db: sqlite3.Connection, after: int, last: int) -> int:
    """Where to stop. A number that damage made up must not cost hours."""
    queries = ["SELECT max(seq) FROM queue"]
    if not last:
        queries.append("SELECT seq FROM sqlite_sequence WHERE name = 'queue'")
    found = [last]
    for query in queries:
        with suppress(sqlite3.Error, TypeError, ValueError):
            found.append(int(db.execute(query).fetchone()[0]))
    return min(max(found), max(after, last) + _MOST)


def _next(db: sqlite3.Connection, at: int) -> int | None:
    """The next number that is in use, or `at` itself where the file does not say."""
    with suppress(sqlite3.Error):
        found: int | None = db.execute(
            "SELECT min(seq) FROM queue WHERE seq >= ?", (at,)
        ).fetchone()[0]
        return found
    return at


def _rows(db: sqlite3.Connection, query: str, start: int, end: int) -> list[Spooled]:
    try:
        found = db.execute(f"{query} WHERE seq >= ? AND seq < ?", (start, end))
        return [_judged(*row) for row in found]
    except sqlite3.Error:
        if end - start <= 1:
            return []
        middle = (start + end) // 2
        return _rows(db, query, start, middle) + _rows(db, query, middle, end)


def _judged(seq: int, stored: bytes | None, crc: object) -> Spooled:
    """Without a checksum, what does not even look like a heartbeat is not sound."""
    row = as_stored(seq, stored, crc)
    return row if crc is not None or _is_heartbeat(row.body) else replace(row, sound=False)


def _is_heartbeat(body: str) -> bool:
    try:
        return isinstance(json.loads(body)["monitor_id"], int)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
