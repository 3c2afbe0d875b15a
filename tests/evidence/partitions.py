"""Do partitions come and go without a writer noticing, while a report reads for a minute?

Heartbeats are stored without a pause: alone, then while a report that touches every partition runs
and the two chores of maintenance work against it, then while they drop what the report kept. Prints
how long a batch took, and how long it waited for a lock at most, by the server's own clock: on a
busy machine a batch also waits for a processor. Exits with 1 if maintenance made one wait for a
lock for 250 ms or longer, lost a row, or ended the report. --report-s N makes it shorter.
"""

import argparse
import asyncio
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ingesting import Ingesting, ingesting
from uptimeo.leader.partitions import PartitionChores
from uptimeo.storage import schema
from uptimeo.storage.database import Connection, connect, make_pool, one
from uptimeo.storage.local import LocalServer
from uptimeo.storage.partitions import PartitionStore
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import json_log

_MAX_STALL_MS = 250.0
_ROWS = 100
_TODAY = "SELECT partitions_ensure('heartbeats')"
_OLD = """
SELECT partitions_ensure('heartbeats', clock_timestamp() - n * interval '1 day')
FROM generate_series(32, 40, 2) n
"""
_REPORT = "SELECT count(*), pg_sleep(%s) FROM (SELECT avg(response_time_ms) FROM api_heartbeats) x"
_FILL = """
INSERT INTO api_heartbeats (monitor_id, datacenter_id, scheduled_at, executed_at, status)
SELECT m, 1, b.lo + s * interval '30 s', b.lo + s * interval '30 s', 'up'
FROM partition_bounds('heartbeats') b, generate_series(1, 20) m, generate_series(0, 2000) s
WHERE b.hi < now() - interval '30 days'
"""
_EXPIRED = """
SELECT count(*) FROM partition_bounds('heartbeats') WHERE hi <= now() - interval '30 days'
"""
_WAITS = """
SELECT extract(epoch FROM clock_timestamp() - waitstart)::float8 * 1000
FROM pg_locks WHERE pid = %s AND waitstart IS NOT NULL
"""
_LOOK_S = 0.005
_STORED = "SELECT count(*) FROM api_heartbeats WHERE agent_id = 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    name: str
    took_ms: Sequence[float]
    waited_ms: float

    def shown(self) -> str:
        ordered = sorted(self.took_ms)
        p50, p99 = (ordered[int(len(ordered) * q)] for q in (0.5, 0.99))
        return (
            f"{self.name:<44} {len(ordered):>6} batches  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms"
            f"  max {ordered[-1]:6.1f} ms, for a lock {self.waited_ms:5.1f} ms"
        )


class _Watcher:
    """The longest time that a session has waited for a lock, as far as it was seen."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self._longest_ms = 0.0

    async def run(self) -> None:
        while True:
            waited = await one(self._connection, _WAITS, (self._pid,))
            self._longest_ms = max(self._longest_ms, waited or 0.0)
            await asyncio.sleep(_LOOK_S)

    def longest_ms(self) -> float:
        """Since the last time it was asked."""
        longest, self._longest_ms = self._longest_ms, 0.0
        return longest


async def _store_until(
    done: "asyncio.Future[None]", writer: Ingesting, watcher: _Watcher, name: str
) -> _Figures:
    first = len(writer.took_ms)
    watcher.longest_ms()
    while not done.done():
        await writer.send(_ROWS)
    await done
    took, waited = writer.took_ms[first:], watcher.longest_ms()
    figures = _Figures(name=name, took_ms=took, waited_ms=waited)
    print(figures.shown(), flush=True)
    return figures


async def _report(conninfo: str, seconds: float) -> None:
    async with await connect(conninfo) as connection:
        await connection.execute(_REPORT, (seconds,))


async def _make_anew(conninfo: str, chores: PartitionChores) -> None:
    """Have the last day made, again and again."""
    async with await connect(conninfo) as connection:
        await chores.make()
        await connection.execute("UPDATE partition_plans SET days_ahead = days_ahead + 1")


async def _against(report_s: float, conninfo: str, chores: PartitionChores) -> asyncio.Task[None]:
    """The chores while a report runs; the retention goes on after it, and is answered."""
    report = asyncio.create_task(_report(conninfo, report_s))
    await asyncio.sleep(1)
    retention = asyncio.create_task(chores.drop())
    while not report.done():
        await _make_anew(conninfo, chores)
        await asyncio.wait({report}, timeout=report_s / 5)
    await report
    return retention


async def _phases(
    conninfo: str, connection: Connection, chores: PartitionChores, report_s: float
) -> bool:
    writer = await ingesting(conninfo)
    watcher = _Watcher(await connect(conninfo), writer.connection.info.backend_pid)
    watching = asyncio.create_task(watcher.run())
    pause = asyncio.ensure_future(asyncio.sleep(report_s / 4))
    await _store_until(pause, writer, watcher, "alone")
    expired = int(await one(connection, _EXPIRED))
    work = asyncio.create_task(_against(report_s, conninfo, chores))
    reading = f"while a report runs for {report_s:g} s"
    during = await _store_until(_done(work), writer, watcher, reading)
    kept = int(await one(connection, _EXPIRED))
    dropping = "while old days are dropped"
    after = await _store_until(_done(work.result()), writer, watcher, dropping)
    left, stored = int(await one(connection, _EXPIRED)), int(await one(connection, _STORED))
    await cancel_all([watching], 5)
    await writer.connection.close()
    print(f"expired days {expired}, after the report {kept}, at the end {left}")
    print(f"stored {stored} of {writer.sent} rows, set aside {len(writer.aside)}")
    waited = max(during.waited_ms, after.waited_ms)
    print(f"longest wait for a lock {waited:.1f} ms, allowed {_MAX_STALL_MS:g} ms")
    whole = stored == writer.sent and not writer.aside
    return 0 < waited < _MAX_STALL_MS and whole and kept == expired > 0 == left


async def _run(conninfo: str, report_s: float) -> bool:
    stream = io.StringIO()
    log = json_log(stream, level="INFO")
    async with await connect(conninfo) as connection, make_pool(conninfo, size=4) as pool:
        await add_sample_datacenters(connection)
        for preparation in (_TODAY, _OLD, _FILL):
            await connection.execute(preparation.encode())
        chores = PartitionChores(partitions=PartitionStore(pool), log=log)
        good = await _phases(conninfo, connection, chores, report_s)
    events = Counter(json.loads(line)["event"] for line in stream.getvalue().splitlines())
    print(f"log {dict(events)}")
    return good


def _done(task: "asyncio.Task[asyncio.Task[None]] | asyncio.Task[None]") -> "asyncio.Future[None]":
    async def wait() -> None:
        await task

    return asyncio.ensure_future(wait())


def main() -> int:
    """Measure; the exit code is its verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report-s", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uptimeo-partitions-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = LocalServer(directory / "postgres")
        server.start()
        try:
            schema.migrate(server.conninfo)
            with suppress(KeyboardInterrupt):
                good = asyncio.run(_run(server.conninfo, given.report_s))
        finally:
            server.stop()
    print("passed" if good else "failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
