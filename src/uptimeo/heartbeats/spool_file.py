"""Can this file hold heartbeats, and where does one go that cannot?"""

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from time import time_ns

from uptimeo.domain.errors import FatalError
from uptimeo.heartbeats.account import Content
from uptimeo.heartbeats.row_numbers import ranges

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
_BESIDE = ("-wal", "-shm")
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


def open_file(path: Path) -> tuple[sqlite3.Connection, Content]:
    """A database that was checked and can be written, new if there was none; and what is in it."""
    path.touch(mode=0o600)
    db = sqlite3.connect(path, check_same_thread=False, timeout=2.0)
    db.text_factory = as_text
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
        return db, _content(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter: its message quotes the file
        db.close()
        raise


def _content(db: sqlite3.Connection) -> Content:
    waiting = ranges(seq for (seq,) in db.execute("SELECT seq FROM queue ORDER BY seq"))
    return Content(waiting=waiting, removals=removals(db))


def removals(db: sqlite3.Connection) -> int:
    """How often rows were removed, as the file itself keeps count."""
    count: int = db.execute("PRAGMA user_version").fetchone()[0]
    return count


def has_checksums(db: sqlite3.Connection) -> bool:
    """Whether the file was made, or has been taken over, by a release that makes checksums."""
    return any(column[1] == "crc" for column in db.execute("PRAGMA table_info(queue)"))


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def as_text(stored: bytes) -> str:
    """A damaged text is read all the same; its checksum then judges it, and nothing else waits."""
    return stored.decode("utf-8", "replace")


def is_damage(error: Exception, path: Path) -> bool:
    """Whether the file is at fault, and not the disk, the rights or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return os.access(path, os.W_OK)
    return code not in _NOT_THE_FILE


def move_aside(path: Path) -> Path:
    """Keep a damaged file under another name; answers with it."""
    aside = _name_aside(path)
    path.rename(aside)
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            _beside(path, suffix).rename(_beside(aside, suffix))
    return aside


def move_log_aside(path: Path) -> Path | None:
    """Keep a log whose database is gone, as SQLite would delete it; None if there is none.

    It is put beside an empty database of the same form, with which SQLite can read it.
    """
    log = _beside(path, "-wal")
    if _size(path) or not _size(log):
        return None
    aside = _name_aside(path)
    open_file(aside)[0].close()
    log.rename(_beside(aside, "-wal"))
    return aside


def _name_aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.bad-{time_ns() // 1_000_000}")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
