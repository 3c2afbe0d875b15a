"""What was recorded: in the database, set aside by it, or still in the spool of an agent."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from uptimeo.clock import EPOCH
from uptimeo.storage.database import connect

_STORED = """
SELECT monitor_id, (extract(epoch FROM scheduled_at) * 1000)::bigint,
       (extract(epoch FROM executed_at) * 1000000)::bigint, coalesce(term, 0), attempts > 0
FROM api_heartbeats WHERE datacenter_id = %s
"""
_ASIDE = "SELECT payload FROM api_heartbeats_set_aside WHERE datacenter_id = %s"
_TERMS = """
SELECT term, holder_name, extract(epoch FROM started_at)::float8 FROM agent_terms
WHERE datacenter_id = %s ORDER BY term
"""
_SPOOLED = "SELECT body FROM queue UNION ALL SELECT body FROM set_aside"


class Where(StrEnum):
    """Where a heartbeat is."""

    STORED = "stored"
    ASIDE = "set aside"
    SPOOLED = "spooled"


@dataclass(frozen=True, slots=True)
class Execution:
    """One check of one agent, or one slot that it skipped: made once, so recorded once."""

    monitor: int
    slot_ms: int
    executed_us: int
    term: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat where it was found; `ran` tells a check from a skipped slot."""

    what: Execution
    where: Where
    ran: bool

    @property
    def executed(self) -> float:
        """Seconds since 1970, by the clock of the database."""
        return self.what.executed_us / 1e6


@dataclass(frozen=True, slots=True)
class Term:
    """A term of leadership as the database wrote it down."""

    number: int
    holder: str
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything the checkers judge by."""

    beats: Sequence[Beat]
    terms: Sequence[Term]
    interval_s: int
    datacenter: int

    def checks(self) -> Iterator[Beat]:
        """The heartbeats of checks that were started."""
        return (beat for beat in self.beats if beat.ran)


async def read_history(
    dsn: str, spools: Iterable[Path], interval_s: int, datacenter: int
) -> History:
    """Collect the history; the spools are directories of agents that have ended."""
    async with await connect(dsn) as connection:
        stored = await (await connection.execute(_STORED, (datacenter,))).fetchall()
        aside = await (await connection.execute(_ASIDE, (datacenter,))).fetchall()
        terms = await (await connection.execute(_TERMS, (datacenter,))).fetchall()
    beats = [Beat(Execution(*row[:4]), Where.STORED, row[4]) for row in stored]
    beats += [_parsed(payload, Where.ASIDE) for (payload,) in aside]
    for spool in spools:
        beats += spooled(spool)
    return History(
        beats=beats,
        terms=[Term(*row) for row in terms],
        interval_s=interval_s,
        datacenter=datacenter,
    )


def spooled(directory: Path) -> list[Beat]:
    """What an agent that has ended left in its spool. Reads a copy: the original stays as it is."""
    if not (directory / "spool.db").exists():
        return []
    with tempfile.TemporaryDirectory(prefix="uptimeo-spool-") as name:
        copy = Path(name)
        for path in directory.glob("spool.db*"):
            shutil.copy(path, copy)
        with closing(sqlite3.connect(copy / "spool.db")) as db:
            return [_parsed(body, Where.SPOOLED) for (body,) in db.execute(_SPOOLED)]


def _parsed(payload: str, where: Where) -> Beat:
    row: dict[str, Any] = json.loads(payload)
    what = Execution(
        monitor=row["monitor_id"],
        slot_ms=_since_epoch(row["scheduled_at"]) // timedelta(milliseconds=1),
        executed_us=_since_epoch(row["executed_at"]) // timedelta(microseconds=1),
        term=row.get("term", 0),
    )
    return Beat(what, where, row.get("attempts", 1) > 0)


def _since_epoch(text: str) -> timedelta:
    return datetime.fromisoformat(text).astimezone(UTC) - EPOCH
