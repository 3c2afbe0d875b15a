"""Does an older installation survive its adoption, with an agent at work and after kills?

Every older row is compared by all it says, before and after; every row that an older agent inserted
meanwhile is looked for by its id.
"""

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg

from tests.evidence.database_figures import Figure, Scale
from tests.support import older
from tests.support.agents import COMMAND

_PROGRESS = "SELECT copied / greatest(total, 1)::float8 FROM uptimeo_older.adoption"
_STALL = "SELECT extract(epoch FROM stall)::float8 * 1000 FROM uptimeo_older.adoption"
_FOUND = """
SELECT count(*) + count(DISTINCT id) FROM api_heartbeats WHERE id IN (SELECT unnest(%s::bigint[]))
"""
_FAULTY, _FAULTY_ROWS = "SELECT count(*) FROM api_heartbeats WHERE id < 9", 9
_MOST_ALONE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """How long the runs of `uptimeo migrate` that were killed took together, and the last one."""

    killed_s: float
    last_s: float


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """Adopt `scale.rows` heartbeats, in an empty database."""
    return await asyncio.to_thread(_measure, conninfo, scale.rows, scale.kills)


def _measure(conninfo: str, rows: int, kills: int) -> list[Figure]:
    # A month of heartbeats.
    older.make(conninfo, rows, every_ms=max(1, 30 * 86_400_000 * 6 // rows))
    older.remember(conninfo)
    with older.writing(conninfo) as alone:
        time.sleep(min(_MOST_ALONE_S, 0.2 + rows / 100_000))
    with older.writing(conninfo) as during:
        runs = _migrate(conninfo, kills, random.Random(rows))
        time.sleep(0.5)
    return [*_account(conninfo, [alone, during]), *_times(conninfo, runs, kills, alone, during)]


def _migrate(conninfo: str, kills: int, chance: random.Random) -> _Runs:
    killed_s = sum(_killed_at(conninfo, (n + chance.random()) / kills) for n in range(kills))
    began = time.monotonic()
    if _start(conninfo).wait() != 0:
        raise SystemExit("the adoption failed")
    return _Runs(killed_s=killed_s, last_s=time.monotonic() - began)


def _start(conninfo: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DB_CONN_STRING": conninfo}
    return subprocess.Popen([COMMAND, "migrate"], env=environment, stdout=subprocess.DEVNULL)


def _killed_at(conninfo: str, share: float) -> float:
    """Kill a run once that share is copied; how long it lived."""
    began = time.monotonic()
    process = _start(conninfo)
    while _copied(conninfo) < share:
        if process.poll() is not None:
            raise SystemExit(f"the adoption ended by itself before {share:.0%} was copied")
        time.sleep(0.05)
    process.kill()
    process.wait()
    return time.monotonic() - began


def _copied(conninfo: str) -> float:
    try:
        return float(_one(conninfo, _PROGRESS) or 0)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0.0


def _account(conninfo: str, writers: Sequence[older.Writer]) -> Iterator[Figure]:
    ids = [number for writer in writers for number in writer.ids]
    # As many rows as ids, and all of them.
    odd = abs(2 * len(ids) - _one(conninfo, _FOUND, (ids,)))
    faulty = abs(_FAULTY_ROWS - _one(conninfo, _FAULTY))
    errors = sum(len(writer.errors) for writer in writers)
    changed = older.changed(conninfo)
    for name, value in (
        ("older rows lost, changed or there twice", changed + faulty),
        ("rows of an older agent, lost or there twice", odd),
        ("failed inserts of it", errors),
    ):
        yield Figure(name=name, value=value, unit="rows", at_most=0)
    yield Figure(name="rows it inserted", value=len(ids), unit="rows")


def _times(
    conninfo: str, runs: _Runs, kills: int, alone: older.Writer, during: older.Writer
) -> Iterator[Figure]:
    whole = runs.killed_s + runs.last_s
    yield Figure(name=f"adoption, killed {kills} times", value=whole, unit="s")
    yield Figure(name="  of it the last run", value=runs.last_s, unit="s")
    yield Figure(name="stall of the cutover", value=_one(conninfo, _STALL), unit="ms")
    for name, writer in (("alone", alone), ("during the adoption", during)):
        took = sorted(seconds * 1000 for _, seconds in writer.took)
        middle, late = took[len(took) // 2], took[len(took) * 99 // 100]
        yield Figure(name=f"an insert {name}: median", value=middle, unit="ms")
        yield Figure(name=f"an insert {name}: 99 of 100", value=late, unit="ms")
        yield Figure(name=f"an insert {name}: worst", value=took[-1], unit="ms")


def _one(conninfo: str, query: str, values: Sequence[object] = ()) -> float:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query.encode(), values).fetchone()
    return float(row[0] or 0) if row else 0.0
