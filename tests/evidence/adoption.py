"""Does an older installation survive its adoption, with an agent at work and after kills?

    python -m tests.evidence.adoption [--rows 5000000] [--kills 3]

Every older row is compared by a sum over all it says, before and after; every row that an older
agent inserted meanwhile is looked for by its id.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.support import older
from tests.support.agents import COMMAND
from uptimeo.storage.local import LocalServer

_PROGRESS = """
SELECT copied / greatest(total, 1)::float8, copied FROM uptimeo_older.adoption
"""
_STATE = """
SELECT total, copied, moved, caught_up, extract(epoch FROM stall)::float8
FROM uptimeo_older.adoption
"""
_FOUND = """
SELECT count(*), count(DISTINCT id) FROM api_heartbeats
WHERE id IN (SELECT unnest(%s::bigint[]))
"""


class _Migration:
    """`uptimeo migrate` in a process of its own."""

    def __init__(self, conninfo: str) -> None:
        environment = {**os.environ, "DB_CONN_STRING": conninfo}
        self.began = time.monotonic()
        self.process = subprocess.Popen([COMMAND, "migrate"], env=environment)

    def kill_at(self, conninfo: str, share: float) -> str:
        """Kill it once that share is copied; says where it stood."""
        while (found := _copied(conninfo))[0] < share:
            if self.process.poll() is not None:
                raise SystemExit(f"it ended by itself before {share:.0%} was copied")
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        return f"killed after {time.monotonic() - self.began:.1f} s, {found[1]:,} rows copied"

    def finish(self) -> float:
        if self.process.wait() != 0:
            raise SystemExit("the adoption failed")
        return time.monotonic() - self.began


def _copied(conninfo: str) -> tuple[float, int]:
    try:
        with psycopg.connect(conninfo) as connection:
            row = connection.execute(_PROGRESS).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0.0, 0
    return (row[0], row[1]) if row and row[0] is not None else (0.0, 0)


def _run(conninfo: str, rows: int, kills: int) -> bool:
    began = time.monotonic()
    # A month of heartbeats.
    older.make(conninfo, rows, every_ms=max(1, 30 * 86_400_000 * 6 // rows))
    print(f"made {rows:,} older heartbeats in {time.monotonic() - began:.0f} s", flush=True)
    before = older.fingerprint(conninfo, rows + 100)
    subprocess.run(
        [COMMAND, "migrate", "--dry-run"],
        env={**os.environ, "DB_CONN_STRING": conninfo},
        check=True,
    )
    chance = random.Random(rows)
    with older.writing(conninfo) as alone:
        time.sleep(10)
    with older.writing(conninfo) as writer:
        for n in range(kills):
            share = (n + chance.random()) / kills
            print(_Migration(conninfo).kill_at(conninfo, share), flush=True)
        took = _Migration(conninfo).finish()
        time.sleep(2)
    print(f"the last run took {took:.1f} s; {time.monotonic() - began:.0f} s since the start")
    return _account(conninfo, rows, before, [alone, writer])


def _account(
    conninfo: str, rows: int, before: tuple[int, int, str], writers: list[older.Writer]
) -> bool:
    after = older.fingerprint(conninfo, rows + 100)
    ids = [number for writer in writers for number in writer.ids]
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(_FOUND, (ids,)).fetchone()
        total = connection.execute("SELECT count(*) FROM api_heartbeats WHERE id < 9").fetchone()
        state = connection.execute(_STATE).fetchone()
    print(f"ordinary rows before {before}\nordinary rows after  {after}")
    print(f"faulty rows: {total} (9 were made)")
    print(f"rows of the older agent: {len(ids)} acknowledged, {found} found (rows, ids)")
    print(f"total, copied, moved, caught up, stall of the cutover in s: {state}")
    for name, writer in zip(("before", "during"), writers, strict=True):
        took = sorted(seconds for _, seconds in writer.took)
        print(
            f"an insert of the older agent {name}: median {took[len(took) // 2] * 1e3:.1f} ms,"
            f" 99 % {took[len(took) * 99 // 100] * 1e3:.1f} ms, longest {took[-1] * 1e3:.0f} ms,"
            f" {len(writer.errors)} errors {writer.errors[:1]}"
        )
    return (
        before == after
        and found == (len(ids), len(ids))
        and total == (9,)
        and not any(writer.errors for writer in writers)
    )


def main() -> int:
    """Run it; the exit code is its verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uptimeo-adoption-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = LocalServer(directory / "postgres")
        server.start()
        try:
            good = _run(server.conninfo, given.rows, given.kills)
        finally:
            server.stop()
    print("passed" if good else "failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
