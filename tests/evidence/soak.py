"""Do 200 monitors with every kind of failure run for ten minutes without a gap or a leak?

Prints figures and exits with 1 if a slot is missing or was skipped, a line of the log tells of an
exception, or memory or descriptors grow.  --minutes N and --monitors N make it shorter.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from tests.support import servers
from tests.support.agents import Running, output, running
from tests.support.certificates import Authority
from uptimeo.demo.monitors import demo_monitors
from uptimeo.demo.process import DemoProcess
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.database import connect, one
from uptimeo.storage.local import LocalServer

_WARM_UP_S = 60.0
_SAMPLE_S = 2.0
_MAX_GROWTH_MB_PER_HOUR = 30.0
_GAPS = """
SELECT coalesce(sum((extract(epoch FROM last - first) / interval)::int + 1 - n), 0)::int FROM (
    SELECT s.interval, min(h.scheduled_at) AS first, max(h.scheduled_at) AS last, count(*) AS n
    FROM api_heartbeats h JOIN api_monitors m ON m.id = h.monitor_id
    JOIN schedules s ON s.id = m.schedule_id GROUP BY m.id, s.interval) x
"""
_LATE = """
SELECT max(extract(epoch FROM executed_at AT TIME ZONE 'UTC' - scheduled_at))::float8 * 1000
FROM api_heartbeats WHERE error_type IS DISTINCT FROM 'agent_stopped'
"""
_KINDS = """
SELECT coalesce(error_type, status), count(*) FROM api_heartbeats GROUP BY 1 ORDER BY 2 DESC
"""
_AGE = """
SELECT percentile_cont(0.99) WITHIN GROUP (
    ORDER BY extract(epoch FROM executed_at AT TIME ZONE 'UTC' - scheduled_at)::float8 * 1000)
FROM api_heartbeats
WHERE error_type IS DISTINCT FROM 'agent_stopped'
"""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    rss_mb: float
    descriptors: int


@asynccontextmanager
async def _targets() -> AsyncIterator[list[tuple[str, str]]]:
    """Names and URLs of faults that the demo target does not have."""
    scripts: dict[str, servers.Script] = {
        "resets": servers.resetting,
        "resets in the body": servers.answering_then_reset(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"
        ),
        "stalls in the body": servers.answering_then_stalled(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"
        ),
        "endless headers": servers.endless(b"HTTP/1.1 200 OK\r\n", b"X-A: 1234567890\r\n"),
        "garbage": servers.answering(b"\x00\x01\x02 garbage\r\n\r\n"),
        "redirects for ever": servers.answering(servers.response("302 Found", "Location: /again")),
    }
    async with AsyncExitStack() as stack:
        urls = []
        for name, script in scripts.items():
            address = await stack.enter_async_context(servers.serve(script))
            urls.append((name, address.url("/")))
        silent = await stack.enter_async_context(servers.serve(servers.mute))
        urls.append(("TLS stalls", silent.url("/").replace("http:", "https:")))
        expired = Authority.new().expired()
        address = await stack.enter_async_context(
            servers.serve(servers.answering(servers.OK), tls=expired)
        )
        urls.append(("expired certificate", address.url("/", host="localhost")))
        yield urls


async def _configure(dsn: str, demo: DemoProcess, urls: Sequence[tuple[str, str]], n: int) -> None:
    kinds = [
        edits.NewMonitor(
            name=monitor.name,
            type=monitor.type,
            url=monitor.url,
            method=monitor.method,
            headers=None if monitor.headers is None else dict(monitor.headers),
            body=monitor.body,
            options=dict(monitor.options),
            schedule=edits.NewSchedule(interval_s=5, warning_ms=300, critical_ms=1000),
        )
        for monitor in demo_monitors(demo.target)
    ]
    kinds += [
        edits.NewMonitor(name=name, type="HTTP", url=url, schedule=edits.NewSchedule(interval_s=10))
        for name, url in urls
    ]
    async with await connect(dsn) as connection:
        for number, kind in enumerate(islice(cycle(kinds), n)):
            await edits.add_monitor(connection, replace(kind, name=f"{kind.name} {number}"))


async def _sample(agent: Running, until: float) -> list[_Sample]:
    samples = []
    while time.monotonic() < until:
        proc = Path(f"/proc/{agent.process.pid}")
        status = (proc / "status").read_text()
        rss = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        samples.append(_Sample(time.monotonic(), rss, len(list((proc / "fd").iterdir()))))
        await asyncio.sleep(_SAMPLE_S)
    return samples


def _slope_per_hour(samples: Sequence[_Sample], values: Sequence[float]) -> float:
    """Least squares over the samples."""
    times = [sample.at for sample in samples]
    mean_t, mean_v = sum(times) / len(times), sum(values) / len(values)
    above = sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values, strict=True))
    return above / sum((t - mean_t) ** 2 for t in times) * 3600


async def _run(directory: Path, dsn: str, minutes: float, monitors: int) -> bool:
    variables = {
        "DB_CONN_STRING": dsn,
        "DATACENTER_ID": "1",
        "UPTIMEO_DATA_DIR": str(directory / "agent"),
    }
    await output("migrate", "--sample-data", **variables)
    demo = await DemoProcess.start()
    try:
        async with _targets() as urls:
            await _configure(dsn, demo, urls, monitors)
            async with running("agent", **variables) as agent:
                await agent.event("lease_acquired")
                warm = time.monotonic() + min(_WARM_UP_S, minutes * 60 / 4)
                samples = await _sample(agent, warm + minutes * 60)
                agent.process.terminate()
                code = await agent.ended()
    finally:
        await demo.stop()
    return await _report(dsn, agent, code, [s for s in samples if s.at >= warm])


async def _report(dsn: str, agent: Running, code: int, samples: Sequence[_Sample]) -> bool:
    async with await connect(dsn) as connection:
        total = await one(connection, "SELECT count(*) FROM api_heartbeats")
        missing = await one(connection, _GAPS)
        latest, p99 = await one(connection, _LATE), await one(connection, _AGE)
        aside = await one(connection, "SELECT count(*) FROM api_heartbeats_set_aside")
        kinds = await (await connection.execute(_KINDS)).fetchall()
    skipped = sum(n for kind, n in kinds if kind.startswith("skipped"))
    faults = Counter(x["event"] for x in agent.lines if x["level"] in ("error", "critical"))
    memory = _slope_per_hour(samples, [sample.rss_mb for sample in samples])
    handles = [sample.descriptors for sample in samples]
    print(f"heartbeats {total}, missing slots {missing}, skipped {skipped}, set aside {aside}")
    print("by kind: " + ", ".join(f"{kind} {n}" for kind, n in kinds))
    print(f"start after the slot: p99 {p99:.1f} ms, latest {latest:.1f} ms")
    print(f"error lines in the log: {dict(faults) or 'none'}; exit code {code}")
    print(
        f"memory {samples[0].rss_mb:.1f} MB -> {samples[-1].rss_mb:.1f} MB,"
        f" {memory:+.1f} MB per hour; descriptors {min(handles)} to {max(handles)},"
        f" {_slope_per_hour(samples, handles):+.1f} per hour"
    )
    flat = memory < _MAX_GROWTH_MB_PER_HOUR and _slope_per_hour(samples, handles) < 60
    return missing == 0 and skipped == 0 and aside == 0 and not faults and code == 0 and flat


def main() -> int:
    """Run the soak; the exit code is its verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--monitors", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uptimeo-soak-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = LocalServer(directory / "postgres")
        server.start()
        try:
            good = asyncio.run(_run(directory, server.conninfo, given.minutes, given.monitors))
        finally:
            server.stop()
    print("passed" if good else "failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
