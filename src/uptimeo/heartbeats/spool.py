"""Where do heartbeats wait until PostgreSQL has committed them? In a SQLite file.

Every heartbeat passes through it, always: a path that only an outage takes is a path that rots.
Methods block for a disk's fsync; the writer calls them from a thread of their own.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import time

from uptimeo.domain.errors import FatalError
from uptimeo.heartbeats.account import Account, Loss
from uptimeo.heartbeats.ledger import Ledger
from uptimeo.heartbeats.salvage import removals_in, salvage
from uptimeo.heartbeats.spool_file import (
    ROWS,
    hold,
    is_damage,
    move_aside,
    move_log_aside,
    open_file,
)
from uptimeo.heartbeats.spooled import Spooled, as_stored, checksum
from uptimeo.heartbeats.thinning import thin

_THIN_AT = 0.95
_THIN_ROWS = 20_000
_DROP_ROWS = 2_000
_NEVER = -1  # no text has this checksum
_REMOVALS = "PRAGMA user_version = {:d}"
_INSERT = "INSERT INTO queue (body, crc) VALUES (?, ?)"


class Spool:
    """A durable queue of one process. Opening a directory that another holds is a FatalError.

    A file that SQLite cannot use is moved aside as `spool.db.bad-<time>`, and a new one begun; so
    is a log that has lost its file.
    Near `max_bytes` the heartbeats that tell the least are thinned out, and only if that is not
    enough the oldest dropped; `dropped` counts both.
    """

    def __init__(self, directory: Path, max_bytes: int = 2_147_483_648) -> None:
        self._max_bytes = max_bytes
        self._thinned_to = 0
        self.dropped = 0
        self._path = directory / "spool.db"
        self._account = Account()
        self._ledger = Ledger(directory / "spool.ledger")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = hold(directory / "spool.lock")
            self._db = self._usable(self._ledger.read())
        except (OSError, sqlite3.Error) as error:
            raise FatalError(
                f"the spool {directory} cannot be used: {error}:"
                " make room or give UPTIMEO_DATA_DIR a directory that can be written"
            ) from error

    def reopen(self) -> None:
        """After an error: go on with the file, or with a new one if SQLite cannot use it."""
        self._db.close()
        self._db = self._usable(self._account)

    def append(self, bodies: Sequence[str]) -> None:
        """Keep these; they survive a crash and a power cut once this returns."""
        with self._db:
            self._db.executemany(_INSERT, [(body, checksum(body)) for body in bodies])
        self._acknowledge(len(bodies))
        self._stay_bounded()

    def asides(self) -> list[Path]:
        """The damaged files whose salvage is not complete, the oldest first."""
        return [self._path.with_name(aside.file) for aside in self._account.asides]

    def salvage(self, damaged: Path) -> Iterator[list[Spooled]]:
        """What can be read of a file aside, in groups: each is for `restore`, then the next."""
        (aside,) = (a for a in self._account.asides if a.file == damaged.name)
        return salvage(damaged, aside.after, aside.missing[-1][1] if aside.missing else 0)

    def restore(self, damaged: Path, rows: Sequence[Spooled]) -> None:
        """Take up rows of a damaged file. One that is not sound is kept, and stays so."""
        with self._db:
            self._db.executemany(
                _INSERT, [(row.body, checksum(row.body) if row.sound else _NEVER) for row in rows]
            )
        self._account = self._account.restored(damaged.name, [row.seq for row in rows])
        self._acknowledge(len(rows))
        self._stay_bounded()

    def abandon(self, damaged: Path) -> None:
        """There is no more to be had from this file: what is still missing of it is lost."""
        self._enter(self._account.salvaged(damaged.name))

    def loss(self) -> Loss | None:
        """How much of what was acknowledged is lost and not told yet, if any is."""
        return self._account.loss()

    def settle(self) -> None:
        """The loss has been told."""
        self._enter(self._account.settled())

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
        numbers = [row.seq for row in sent]
        self._enter(self._account.removed(numbers))
        with self._db:
            self._delete(numbers)

    def set_aside(self, row: Spooled, reason: str) -> None:
        """Keep a heartbeat that PostgreSQL refuses out of everybody's way."""
        self._enter(self._account.removed([row.seq]))
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO set_aside VALUES (?, ?, ?, ?)",
                (row.seq, time(), reason, row.body),
            )
            self._delete([row.seq])

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
        self._ledger.close()
        os.close(self._lock)

    def _stay_bounded(self) -> None:
        if self.size() > _THIN_AT * self._max_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """One step: thin the next part, or drop from the oldest when all of it is thin."""
        query = f"{ROWS} WHERE seq > ? ORDER BY seq LIMIT ?"
        part = [as_stored(*row) for row in self._db.execute(query, (self._thinned_to, _THIN_ROWS))]
        expendable = thin(part)
        if part:
            self._thinned_to = part[-1].seq
        if not expendable and self.size() > self._max_bytes:
            expendable = self.oldest(_DROP_ROWS)
        if expendable:
            self.remove(expendable)
        self.dropped += len(expendable)
        if len(part) < _THIN_ROWS:
            self._thinned_to = 0  # the next step begins again with what has arrived since

    def _usable(self, account: Account | None) -> sqlite3.Connection:
        """Open the file or begin a new one, and take stock."""
        try:
            damaged = move_log_aside(self._path)
            db, found = open_file(self._path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not is_damage(error, self._path):
                raise
            damaged = move_aside(self._path)
            db, found = open_file(self._path)
        if damaged is None:
            self._enter((account or Account(exact=found.removals == 0)).opened(found))
        else:
            known = account or Account(exact=False)
            self._enter(known.moved_aside(damaged.name, removals_in(damaged), found))
        self._ledger.sync()
        if not found.removals:
            db.execute(_REMOVALS.format(self._account.removals))
        return db

    def _acknowledge(self, count: int) -> None:
        """Enter the last rows that were inserted: within a transaction their numbers follow."""
        if count:
            last: int = self._db.execute("SELECT last_insert_rowid()").fetchone()[0]
            self._enter(self._account.acknowledged(last - count + 1, last))

    def _delete(self, numbers: Sequence[int]) -> None:
        self._db.executemany("DELETE FROM queue WHERE seq = ?", [(number,) for number in numbers])
        self._db.execute(_REMOVALS.format(self._account.removals))

    def _enter(self, account: Account) -> None:
        self._account = account
        self._ledger.write(account)
