"""Can this file hold heartbeats, and what can be saved of one that cannot?"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import time_ns

from uptimeo.domain.errors import FatalError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    crc  INTEGER
);
CREATE TABLE IF NOT EXISTS set_aside (
    seq    INTEGER PRIMARY KEY,
    at     REAL NOT NULL,
    reason TEXT NOT NULL,
    body   TEXT NOT NULL
);
"""
# The bytes as they are: damage may have made a blob of a text, or no UTF-8.
ROWS = "SELECT seq, CAST(body AS BLOB), crc FROM queue"
_NOT_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)
_SALVAGE_ROWS = 256
_SALVAGE_MOST = 5_000_000


def hold(path: Path) -> int:
    """Lock a spool for this process; FatalError if another has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise FatalError(
            f"the spool {path.parent} belongs to another running agent:"
            " give each agent a UPTIMEO_DATA_DIR of its own"
        ) from error
    return lock


def open_file(path: Path) -> sqlite3.Connection:
    """A database that was checked and can be written, new if there was none."""
    path.touch(mode=0o600)
    db = sqlite3.connect(path, check_same_thread=False, timeout=2.0)
    db.text_factory = _text
    try:
        # FULL: a heartbeat that was accepted survives a power cut, not just a crash.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=1000"):
            db.execute(f"PRAGMA {pragma}")
        _check(db)
        db.executescript(_SCHEMA)
        if not has_checksums(db):
            db.execute("ALTER TABLE queue ADD COLUMN crc INTEGER")
        with db:  # a damaged header may make the file read-only
            db.execute("DELETE FROM queue WHERE seq < 0")
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter: its message quotes the file
        db.close()
        raise
    return db


def has_checksums(db: sqlite3.Connection) -> bool:
    """Whether the file was made, or has been taken over, by a release that makes checksums."""
    return any(column[1] == "crc" for column in db.execute("PRAGMA table_info(queue)"))


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _text(stored: bytes) -> str:
    """A damaged text is read all the same; PostgreSQL then judges it, and nothing else waits."""
    return stored.decode("utf-8", "replace")


def is_damage(error: Exception, path: Path) -> bool:
    """Whether the file is at fault, and not the disk, the rights or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return os.access(path, os.W_OK)
    return code not in _NOT_THE_FILE


def move_aside(path: Path) -> Path:
    """Keep a damaged file under another name; answers with it."""
    aside = path.with_name(f"{path.name}.bad-{time_ns() // 1_000_000}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(path: Path) -> Iterator[list[str]]:
    """The heartbeats of a damaged file that can still be read, in groups.

    It is read by ranges of row numbers, so that one bad page costs the rows on it and no more.
    Some of them may have been sent already: sending a heartbeat again is harmless.
    """
    with suppress(sqlite3.Error, UnicodeDecodeError), closing(_read_only(path)) as db:
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
        last = int(row[0]) if row else 0
        first = _first_row(db, last)
        for start in range(first, last + 1, _SALVAGE_ROWS):
            yield [body for body in _rows(db, start, start + _SALVAGE_ROWS) if _is_heartbeat(body)]


def _read_only(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0, check_same_thread=False)
    db.text_factory = _text
    return db


def _first_row(db: sqlite3.Connection, last: int) -> int:
    """Most of what was ever in the file is sent and gone; do not walk through its numbers."""
    with suppress(sqlite3.Error):
        found = db.execute("SELECT min(seq) FROM queue").fetchone()[0]
        return last + 1 if found is None else max(1, int(found))
    return max(1, last - _SALVAGE_MOST)


def _rows(db: sqlite3.Connection, start: int, end: int) -> list[str]:
    try:
        query = "SELECT CAST(body AS TEXT) FROM queue WHERE seq >= ? AND seq < ?"
        return [str(body) for (body,) in db.execute(query, (start, end))]
    except sqlite3.Error:
        if end - start <= 1:
            return []
        middle = (start + end) // 2
        return _rows(db, start, middle) + _rows(db, middle, end)


def _is_heartbeat(body: str) -> bool:
    try:
        return isinstance(json.loads(body)["monitor_id"], int)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
