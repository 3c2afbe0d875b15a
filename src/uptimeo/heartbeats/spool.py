"""Where do heartbeats wait until PostgreSQL has committed them? In a SQLite file.

Every heartbeat passes through it, always: a path that only an outage takes is a path that rots.
Methods block for a disk's fsync; the writer calls them from a thread of their own.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from time import time

from uptimeo.domain.errors import FatalError
from uptimeo.heartbeats.spool_file import ROWS, hold, is_damage, move_aside, open_file
from uptimeo.heartbeats.spooled import Spooled, as_stored, checksum
from uptimeo.heartbeats.thinning import thin

_THIN_AT = 0.95
_THIN_ROWS = 20_000
_DROP_ROWS = 2_000
_NEVER = -1  # no text has this checksum
_INSERT = "INSERT INTO queue (body, crc) VALUES (?, ?)"


class Spool:
    """A durable queue of one process. Opening a directory that another holds is a FatalError.

    A file that SQLite cannot use is moved aside as `spool.db.bad-<time>`, and a new one begun.
    Near `max_bytes` the heartbeats that tell the least are thinned out, and only if that is not
    enough the oldest dropped; `dropped` counts both.
    """

    def __init__(self, directory: Path, max_bytes: int = 2_147_483_648) -> None:
        self._max_bytes = max_bytes
        self._thinned_to = 0
        self.dropped = 0
        self._path = directory / "spool.db"
        self.moved_aside: Path | None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = hold(directory / "spool.lock")
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
            self._db.executemany(_INSERT, [(body, checksum(body)) for body in bodies])
        if self.size() > _THIN_AT * self._max_bytes:
            self._make_room()

    def restore(self, salvaged: Sequence[Spooled]) -> None:
        """Take up rows of a damaged file. One that is not sound is kept, and stays so."""
        with self._db:
            self._db.executemany(
                _INSERT,
                [(row.body, checksum(row.body) if row.sound else _NEVER) for row in salvaged],
            )

    def newest(self, limit: int) -> list[Spooled]:
        """The last that arrived, in order of arrival."""
        rows = self._db.execute(f"{ROWS} ORDER BY seq DESC LIMIT ?", (limit,)).fetchall()
        return [as_stored(*row) for row in reversed(rows)]

    def oldest(self, limit: int) -> list[Spooled]:
        """The next ones to send."""
        rows = self._db.execute(f"{ROWS} ORDER BY seq LIMIT ?", (limit,))
        return [as_stored(*row) for row in rows]

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

    def size(self) -> int:
        """Bytes in use."""
        pages, free, page = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page)

    def depth(self) -> int:
        """How many wait."""
        count: int = self._db.execute("SELECT count(*) FROM queue").fetchone()[0]
        return count

    def close(self) -> None:
        """Close the file and let another process have the directory."""
        self._db.close()
        os.close(self._lock)

    def _make_room(self) -> None:
        """One step: thin the next part, or drop from the oldest when all of it is thin."""
        query = f"{ROWS} WHERE seq > ? ORDER BY seq LIMIT ?"
        part = [as_stored(*row) for row in self._db.execute(query, (self._thinned_to, _THIN_ROWS))]
        expendable = thin(part)
        if part:
            self._thinned_to = part[-1].seq
        if not expendable and self.size() > self._max_bytes:
            expendable = self.oldest(_DROP_ROWS)
        self.remove(expendable)
        self.dropped += len(expendable)
        if len(part) < _THIN_ROWS:
            self._thinned_to = 0  # the next step begins again with what has arrived since

    def _usable(self) -> sqlite3.Connection:
        self.moved_aside = None
        try:
            return open_file(self._path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not is_damage(error, self._path):
                raise
            self.moved_aside = move_aside(self._path)
            return open_file(self._path)
