"""Do partitions come and go without a writer noticing, while a report reads for a minute?

Heartbeats are stored without a pause: alone, then while a report that touches every partition runs
and the two chores of maintenance work against it, then while they drop what the report kept. Prints
how long a batch took; exits with 1 if maintenance made one wait 250 ms or longer, lost a row, or
ended the report. --report-s N makes it shorter.
"""

import argparse
import asyncio
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ingesting import Ingesting, ingesting
from uptimeo.leader.partitions import PartitionChores
from uptimeo.storage import schema
from uptimeo.storage.database import connect, make_pool, one
from uptimeo.storage.local import LocalServer
from uptimeo.storage.partitions import PartitionStore
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.telemetry import json_log

_MAX_STALL_MS = 250.0
_ROWS = 100
_OLD = """
SELECT partitions_ensure('api_heartbeats', clock_timestamp() - n * interval '1 day')
FROM generate_series(32, 40, 2) n
"""
_REPORT = "SELECT count(*), pg_sleep(%s) FROM (SELECT avg(response_time_ms) FROM api_heartbeats) x"
_FILL = """
INSERT INTO api_heartbeats (monitor_id, datacenter_id, scheduled_at, executed_at, status)
SELECT m, 1, b.lo + s * interval '30 s', b.lo + s * interval '30 s', 'up'
FROM partition_bounds('api_heartbeats') b, generate_series(1, 20) m, generate_series(0, 2000) s
WHERE b.hi < now() - interval '30 days'
"""
_EXPIRED = """
SELECT count(*) FROM partition_bounds('api_heartbeats') WHERE hi <= now() - interval '30 days'
"""
_STORED = "SELECT count(*) FROM api_heartbeats WHERE agent_id = 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    name: str
    took_ms: Sequence[float]

    def shown(self) -> str:
        ordered = sorted(self.took_ms)
        p50, p99 = (ordered[int(len(ordered) * q)] for q in (0.5, 0.99))
        return (
            f"{self.name:<44} {len(ordered):>6} batches  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms"
            f"  max {ordered[-1]:6.1f} ms"
        )


async def _store_until(done: "asyncio.Future[None]", writer: Ingesting, name: str) -> _Figures:
    first = len(writer.took_ms)
    while not done.done():
        await writer.send(_ROWS)
    await done
    figures = _Figures(name=name, took_ms=writer.took_ms[first:])
    print(figures.shown(), flush=True)
    return figures


async def _report(conninfo: str, seconds: float) -> None:
    async with await connect(conninfo) as connection:
        await connection.execute(_REPORT, (seconds,))


async def _make_anew(conninfo: str, chores: PartitionChores) -> None:
    """Have the last day made, again and again."""
    async with await connect(conninfo) as connection:
        await chores.make()
        print(f"days ahead {dict(chores.days_ahead)}")
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


async def _run(conninfo: str, report_s: float) -> bool:
    stream = io.StringIO()
    async with await connect(conninfo) as connection, make_pool(conninfo, size=4) as pool:
        await add_sample_datacenters(connection)
        await connection.execute("SELECT partitions_ensure('api_heartbeats')")
        await connection.execute(_OLD.encode())
        await connection.execute(_FILL.encode())
        chores = PartitionChores(
            partitions=PartitionStore(pool), log=json_log(stream, level="INFO")
        )
        writer = await ingesting(conninfo)
        alone = await _store_until(
            asyncio.ensure_future(asyncio.sleep(report_s / 4)), writer, "alone"
        )
        expired = int(await one(connection, _EXPIRED))
        work = asyncio.create_task(_against(report_s, conninfo, chores))
        during = await _store_until(_done(work), writer, f"while a report runs for {report_s:g} s")
        kept = int(await one(connection, _EXPIRED))
        after = await _store_until(_done(work.result()), writer, "while old days are dropped")
        left, stored = int(await one(connection, _EXPIRED)), int(await one(connection, _STORED))
        await writer.connection.close()
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    counted = {event: events.count(event) for event in sorted(set(events))}
    print(f"expired days {expired}, after the report {kept}, at the end {left}; log {counted}")
    print(f"stored {stored} of {writer.sent} rows, set aside {len(writer.aside)}")
    usual = sorted(alone.took_ms)[len(alone.took_ms) // 2]
    stall = max(*during.took_ms, *after.took_ms) - usual
    print(f"longest wait beyond the usual {stall:.1f} ms, allowed {_MAX_STALL_MS:g} ms")
    whole = stored == writer.sent and not writer.aside
    return stall < _MAX_STALL_MS and whole and kept == expired > 0 == left


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
