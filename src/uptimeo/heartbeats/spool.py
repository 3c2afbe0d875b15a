"""Where do heartbeats wait until PostgreSQL has committed them? In a SQLite file.

Every heartbeat passes through it, always: a path that only an outage takes is a path that rots.
Methods block for a disk's fsync; the writer calls them from a thread of their own.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time, time_ns

from uptimeo.domain.errors import FatalError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS set_aside (
    seq    INTEGER PRIMARY KEY,
    at     REAL NOT NULL,
    reason TEXT NOT NULL,
    body   TEXT NOT NULL
);
"""
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


@dataclass(frozen=True, slots=True)
class Spooled:
    """One waiting heartbeat in its wire form; `seq` orders them by arrival."""

    seq: int
    body: str


class Spool:
    """A durable queue of one process. Opening a directory that another holds is a FatalError.

    A file that SQLite cannot use is moved aside as `spool.db.bad-<time>`, and a new one begun.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "spool.db"
        self.moved_aside: Path | None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _hold(directory / "spool.lock")
            self._db = self._usable()
        except (OSError, sqlite3.Error) as error:
            raise FatalError(
                f"the spool {directory} cannot be used: {error}:"
                " make room or give UPTIMEO_DATA_DIR a directory that can be written"
            ) from error

    def reopen(self) -> None:
        """After an error: go on with the file, or with a new one if SQLite cannot use it."""
        self._db.close()
        self._db = self._usable()

    def append(self, bodies: Sequence[str]) -> None:
        """Keep these; they survive a crash and a power cut once this returns."""
        with self._db:
            self._db.executemany("INSERT INTO queue (body) VALUES (?)", [(b,) for b in bodies])

    def oldest(self, limit: int) -> list[Spooled]:
        """The next ones to send."""
        # CAST, as a damaged row may have become a blob: PostgreSQL refuses it, and it is set aside.
        rows = self._db.execute(
            "SELECT seq, CAST(body AS TEXT) FROM queue ORDER BY seq LIMIT ?", (limit,)
        )
        return [Spooled(seq, body) for seq, body in rows]

    def remove(self, sent: Sequence[Spooled]) -> None:
        """Forget what PostgreSQL has committed."""
        with self._db:
            self._db.executemany("DELETE FROM queue WHERE seq = ?", [(s.seq,) for s in sent])

    def set_aside(self, row: Spooled, reason: str) -> None:
        """Keep a heartbeat that PostgreSQL refuses out of everybody's way."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO set_aside VALUES (?, ?, ?, ?)",
                (row.seq, time(), reason, row.body),
            )
            self._db.execute("DELETE FROM queue WHERE seq = ?", (row.seq,))

    def depth(self) -> int:
        """How many wait."""
        count: int = self._db.execute("SELECT count(*) FROM queue").fetchone()[0]
        return count

    def close(self) -> None:
        """Close the file and let another process have the directory."""
        self._db.close()
        os.close(self._lock)

    def _usable(self) -> sqlite3.Connection:
        self.moved_aside = None
        try:
            return _open(self._path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error, self._path):
                raise
            self.moved_aside = _move_aside(self._path)
            return _open(self._path)


def _hold(path: Path) -> int:
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


def _open(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, check_same_thread=False, timeout=2.0)
    db.text_factory = _text
    try:
        # FULL: a heartbeat that was accepted survives a power cut, not just a crash.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=1000"):
            db.execute(f"PRAGMA {pragma}")
        _check(db)
        db.executescript(_SCHEMA)
        with db:  # a damaged header may make the file read-only
            db.execute("DELETE FROM queue WHERE seq < 0")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _text(stored: bytes) -> str:
    """A damaged text is read all the same; PostgreSQL then judges it, and nothing else waits."""
    return stored.decode("utf-8", "replace")


def _is_damage(error: sqlite3.DatabaseError, path: Path) -> bool:
    """Whether the file is at fault, and not the disk, the rights or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return os.access(path, os.W_OK)
    return code not in _NOT_THE_FILE


def _move_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.bad-{time_ns() // 1_000_000}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
