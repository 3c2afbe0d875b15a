"""Do partitions come and go without a writer noticing, while a report reads for a minute?

Heartbeats are stored without a pause: alone, then while a report that touches every partition runs
and the two chores of maintenance work against it, then while they drop what the report kept. A
wait for a lock is measured by the server's own clock: on a busy machine a batch also waits for a
processor.
"""

import asyncio
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.evidence.database_figures import Figure, Scale
from tests.support.ingesting import Ingesting, ingesting
from uptimeo.leader.partitions import PartitionChores
from uptimeo.storage.database import Connection, connect, make_pool, one
from uptimeo.storage.partitions import PartitionStore
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import json_log

_MAX_STALL_MS = 250.0
_ROWS = 100
_TODAY = "SELECT partitions_ensure(parent) FROM partition_plans"
_OLD = """
SELECT partitions_ensure('heartbeats', clock_timestamp() - n * interval '1 day')
FROM generate_series(32, 40, 2) n
"""
_REPORT = "SELECT count(*), pg_sleep(%s) FROM (SELECT avg(response_time_ms) FROM api_heartbeats) x"
_FILL = """
INSERT INTO heartbeats (monitor_id, datacenter_id, scheduled_at, late_ms, traits_id, status)
SELECT m, 1, b.lo + s * interval '30 s', 0, 0, 'u'
FROM partition_bounds('heartbeats') b, generate_series(1, 20) m, generate_series(0, 500) s
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
class _Stretch:
    """How long the batches of a stretch took, and the longest wait of one for a lock."""

    name: str
    took_ms: Sequence[float]
    waited_ms: float

    def figures(self) -> Iterator[Figure]:
        ordered = sorted(self.took_ms)
        for name, value in (
            ("median", ordered[len(ordered) // 2]),
            ("99 of 100", ordered[len(ordered) * 99 // 100]),
            (f"worst of {len(ordered)}", ordered[-1]),
            ("longest wait for a lock", self.waited_ms),
        ):
            yield Figure(name=f"a batch {self.name}: {name}", value=value, unit="ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Days:
    """How many days were too old: at first, when the report had ended, and at the end."""

    expired: int
    after_report: int
    at_end: int

    def figures(self) -> Iterator[Figure]:
        gone = self.expired - self.after_report
        yield Figure(name="days dropped under the report", value=gone, unit="days", at_most=0)
        dropped = self.expired - self.at_end
        yield Figure(name="days dropped after it", value=dropped, unit="days", at_least=1)
        yield Figure(name="days too old at the end", value=self.at_end, unit="days", at_most=0)


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


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """The chores against a report of `scale.report_s`, then without it."""
    stream = io.StringIO()
    log = json_log(stream, level="INFO")
    async with await connect(conninfo) as connection, make_pool(conninfo, size=4) as pool:
        for preparation in (_TODAY, _OLD, _FILL):
            await connection.execute(preparation.encode())
        chores = PartitionChores(partitions=PartitionStore(pool), log=log)
        figures = await _stretches(conninfo, connection, chores, scale.report_s)
    events = Counter(json.loads(line)["event"] for line in stream.getvalue().splitlines())
    return [
        *figures,
        *(
            Figure(name=f"log line {event}", value=count, unit="lines")
            for event, count in sorted(events.items())
        ),
    ]


async def _stretches(
    conninfo: str, connection: Connection, chores: PartitionChores, report_s: float
) -> list[Figure]:
    writer = await ingesting(conninfo)
    async with writer.connection, await connect(conninfo) as looking:
        watcher = _Watcher(looking, writer.connection.info.backend_pid)
        watching = asyncio.create_task(watcher.run())
        pause = asyncio.ensure_future(asyncio.sleep(report_s / 4))
        alone = await _store_until(pause, writer, watcher, "alone")
        expired = int(await one(connection, _EXPIRED))
        work = asyncio.create_task(_against(report_s, conninfo, chores))
        during = await _store_until(_done(work), writer, watcher, "under the report")
        kept = int(await one(connection, _EXPIRED))
        after = await _store_until(_done(work.result()), writer, watcher, "after it")
        await cancel_all([watching], 5)
    left, stored = int(await one(connection, _EXPIRED)), int(await one(connection, _STORED))
    waited = max(during.waited_ms, after.waited_ms)
    assert waited > 0, "no wait for a lock was seen: the report was in nobody's way"
    lost = writer.sent - stored + len(writer.aside)
    return [
        Figure(name="longest wait for a lock", value=waited, unit="ms", at_most=_MAX_STALL_MS),
        Figure(name="rows lost or set aside", value=lost, unit="rows", at_most=0),
        Figure(name="rows stored", value=stored, unit="rows"),
        *_Days(expired=expired, after_report=kept, at_end=left).figures(),
        *(figure for stretch in (alone, during, after) for figure in stretch.figures()),
    ]


async def _store_until(
    done: "asyncio.Future[None]", writer: Ingesting, watcher: _Watcher, name: str
) -> _Stretch:
    first = len(writer.took_ms)
    watcher.longest_ms()
    while not done.done():
        await writer.send(_ROWS)
    await done
    return _Stretch(name=name, took_ms=writer.took_ms[first:], waited_ms=watcher.longest_ms())


async def _against(report_s: float, conninfo: str, chores: PartitionChores) -> asyncio.Task[None]:
    """The chores while a report runs; the retention goes on after it, and is answered."""
    report = asyncio.create_task(_report(conninfo, report_s))
    await asyncio.sleep(min(1, report_s / 4))
    retention = asyncio.create_task(chores.drop())
    while not report.done():
        await _make_anew(conninfo, chores)
        await asyncio.wait({report}, timeout=report_s / 5)
    await report
    return retention


async def _report(conninfo: str, seconds: float) -> None:
    async with await connect(conninfo) as connection:
        await connection.execute(_REPORT, (seconds,))


async def _make_anew(conninfo: str, chores: PartitionChores) -> None:
    """Have the last day made, again and again."""
    async with await connect(conninfo) as connection:
        await chores.make()
        await connection.execute("UPDATE partition_plans SET days_ahead = days_ahead + 1")


def _done(task: "asyncio.Task[asyncio.Task[None]] | asyncio.Task[None]") -> "asyncio.Future[None]":
    async def wait() -> None:
        await task

    return asyncio.ensure_future(wait())
