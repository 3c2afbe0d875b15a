"""Does a target that means harm end its own check, in time and by name, and nothing else?

A fresh agent first checks ordinary monitors only, then the hostile ones beside them. The ordinary
target says in its answers how long it held them, so that what is left of a latency is ours.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.hostile import Hostile
from tests.faults.hostile_process import hostile
from tests.faults.installation import Installation, installation
from tests.faults.report import Fault, Figure, Outcome, Scale, percentile, say
from tests.support.agents import Running
from uptimeo.calibration.measure import calibration_target
from uptimeo.calibration.truth import Target, read_truth
from uptimeo.children import Child
from uptimeo.domain.result import ErrorType
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.network.tls import TlsContexts
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, add_monitor

_TIMEOUT_MS = 1000
_HOLD_MS = 20.0
_ORDINARY = 30
_ALONE_S = {Scale.FULL: 60.0, Scale.SHORT: 12.0}
_BESIDE_S = {Scale.FULL: 120.0, Scale.SHORT: 20.0}
_HOSTILE_INTERVAL_S = 4
_AT_ONCE = 10
# A timeout is not believed while the agent stands still, be it for other processes of the host.
_STALLED = 0.02
_SEEN = """
SELECT h.monitor_id, extract(epoch FROM h.executed_at)::float8, h.status,
       coalesce(h.error_type, ''), h.response_time_ms, h.raw_response_body::text, h.error_message
FROM api_heartbeats h WHERE h.attempts > 0 AND coalesce(h.error_type, '') <> 'agent_stopped'
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat."""

    monitor: int
    at: float
    status: str
    error: str
    total_ms: float | None
    body: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What an agent has in memory, in MB, and had at most since it was last asked."""

    rss: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of the agent: `since` is when the hostile monitors were added."""

    beats: Sequence[Beat]
    since: float
    ordinary: Sequence[int]
    hostile: Mapping[int, Hostile]
    before: Memory
    after: Memory


async def _run(scale: Scale) -> Outcome:
    child = await Child.start("tests.faults.hostile_process", what="the hostile endpoints")
    try:
        endpoints = dict(zip(child.announced["ports"], hostile(), strict=True))
        say(f"  {len(endpoints)} endpoints, each called once")
        called_ms = await _called(endpoints)
        async with calibration_target(_HOLD_MS) as target, installation() as place:
            seen = await _beside(place, target, endpoints, scale)
    finally:
        await child.stop()
    return Outcome(runs=len(endpoints), figures=_figures(seen, called_ms), notes=_notes(seen))


async def _called(endpoints: Mapping[int, Hostile]) -> float:
    """How long the slowest probe kept its caller waiting, in ms."""
    registry, places, tls = ProbeRegistry.installed(), asyncio.Semaphore(_AT_ONCE), TlsContexts()
    loop = asyncio.get_running_loop()

    async def call(port: int, each: Hostile) -> float:
        probe = registry.get(each.type)
        assert probe is not None
        url = each.url.format(port=port)
        options = probe.options.model_validate({"url": url, **each.options})
        async with places:
            began = loop.time()
            await probe.probe(options, ProbeContext(timeout_ms=_TIMEOUT_MS, tls=tls))
            return (loop.time() - began) * 1000

    took = await asyncio.gather(*(call(port, each) for port, each in endpoints.items()))
    await registry.aclose()
    return max(took)


async def _beside(
    place: Installation, target: Target, endpoints: Mapping[int, Hostile], scale: Scale
) -> Seen:
    ordinary = await _add_ordinary(place, target)
    settings = {"UPTIMEO_MAX_CHECKS_PER_HOST": "1000"}
    async with place.agent("agent", **settings) as agent:
        await agent.event("lease_acquired")
        await asyncio.sleep(_ALONE_S[scale])
        before, since = _memory(agent), asyncio.get_running_loop().time()
        since = await _now(place)
        monitors = await _add_hostile(place, endpoints)
        await asyncio.sleep(_BESIDE_S[scale])
        after = _memory(agent)
    async with await place.connect() as connection:
        rows = await (await connection.execute(_SEEN)).fetchall()
    return Seen(
        beats=[Beat(*row) for row in rows],
        since=since,
        ordinary=ordinary,
        hostile=monitors,
        before=before,
        after=after,
    )


async def _now(place: Installation) -> float:
    async with await place.connect() as connection:
        row = await (
            await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        ).fetchone()
    assert row is not None
    return float(row[0])


async def _add_ordinary(place: Installation, target: Target) -> list[int]:
    schedule = NewSchedule(interval_s=1, keep_body=True)
    trusting = {"ca_pem": target.ca_pem}
    forms = [("https", target.https_url, trusting), ("http", target.http_url, {})]
    news = [
        NewMonitor(name=f"ordinary {n}", type=kind, url=url, options=options, schedule=schedule)
        for n in range(_ORDINARY)
        for kind, url, options in [forms[n % 2]]
    ]
    # Trusts nobody but the authorities of this host, so that they are read before.
    other = NewMonitor(name="untrusted", type="https", url=target.https_url, schedule=schedule)
    async with await place.connect() as connection, connection.transaction():
        ids = [await add_monitor(connection, new) for new in news]
        await add_monitor(connection, other)
    return ids


async def _add_hostile(place: Installation, endpoints: Mapping[int, Hostile]) -> dict[int, Hostile]:
    schedule, found = NewSchedule(interval_s=_HOSTILE_INTERVAL_S), {}
    async with await place.connect() as connection, connection.transaction():
        for port, each in endpoints.items():
            new = NewMonitor(
                name=f"{each.type} {each.name} {port}",
                type=each.type,
                url=each.url.format(port=port),
                options=each.options,
                schedule=schedule,
                timeout_ms=_TIMEOUT_MS,
            )
            found[await add_monitor(connection, new)] = each
    return found


def _memory(agent: Running) -> Memory:
    """What it is now; the peak begins anew."""
    process = Path("/proc", str(agent.process.pid))
    lines = dict(line.split(":", 1) for line in process.joinpath("status").read_text().splitlines())
    process.joinpath("clear_refs").write_text("5")
    rss, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Memory(rss=rss, peak=peak)


def _figures(seen: Seen, called_ms: float) -> list[Figure]:
    checks = [beat for beat in seen.beats if beat.monitor in seen.hostile]
    longest = max((beat.total_ms or 0.0 for beat in checks), default=math.nan)
    alone, beside = _ours(seen, before=True), _ours(seen, before=False)
    stalled = sum(beat.error == ErrorType.STALLED for beat in checks)
    unbelieved = sum(beat.error == ErrorType.STALLED for beat in _ordinary(seen, before=False))
    return [
        Figure("hostile checks", len(checks), at_least=2 * len(seen.hostile)),
        Figure("longest", longest / 1000, "s", at_most=_TIMEOUT_MS / 1000 + 0.2),
        Figure("longest as its caller saw it", called_ms / 1000, "s", at_most=1.2),
        Figure("not by their own error", len(_strange(seen)), at_most=0),
        Figure("unknown, as the agent stood still", stalled, at_most=len(checks) * _STALLED),
        Figure("RSS grew by", round(seen.after.rss - seen.before.rss, 1), "MB", at_most=20),
        Figure("peak by", round(seen.after.peak - seen.before.rss, 1), "MB", at_most=20),
        Figure("ordinary checks beside", len(beside), at_least=_ORDINARY),
        Figure("unknown among them", unbelieved, at_most=len(beside) * _STALLED),
        *(
            Figure(
                f"their p{percent} off by",
                round(percentile(beside, percent) - percentile(alone, percent), 3),
                "ms",
                at_most=5,
            )
            for percent in (50, 95, 99)
        ),
    ]


def _ordinary(seen: Seen, *, before: bool) -> list[Beat]:
    """The ordinary checks of one of the two stretches of time."""
    return [
        beat
        for beat in seen.beats
        if beat.monitor in seen.ordinary and (beat.at < seen.since) == before
    ]


def _ours(seen: Seen, *, before: bool) -> list[float]:
    """What of the latency of each ordinary check was not its target's, in ms."""
    found = []
    for beat in _ordinary(seen, before=before):
        if beat.error != ErrorType.STALLED:
            assert beat.body is not None, beat
            assert beat.total_ms is not None
            truth = read_truth(beat.body)
            held = truth.tls_ms + truth.wait_ms + truth.transfer_ms
            found.append(beat.total_ms - held)
    return found


def _strange(seen: Seen) -> list[tuple[Hostile, Beat]]:
    """Hostile checks that ended in another way than they should."""
    pairs = [
        (seen.hostile[beat.monitor], beat) for beat in seen.beats if beat.monitor in seen.hostile
    ]
    known = [(each, beat) for each, beat in pairs if beat.error != ErrorType.STALLED]
    return [(each, beat) for each, beat in known if beat.error not in (each.ends or ("",))]


def _notes(seen: Seen) -> list[str]:
    alone, beside = _ours(seen, before=True), _ours(seen, before=False)
    shown = [
        (
            f"alone p50 {percentile(alone, 50):.2f} p99 {percentile(alone, 99):.2f} ms,"
            f" beside p50 {percentile(beside, 50):.2f} p99 {percentile(beside, 99):.2f} ms"
        ),
        f"RSS {seen.before.rss:.1f} MB before",
    ]
    ways = Counter(
        f"{each.type} {each.name}: {beat.error or beat.status}" for each, beat in _strange(seen)
    )
    return [*shown, *(f"{way} ({number} times)" for way, number in ways.most_common(30))]


FAULTS = (
    Fault(
        id="F20",
        title="targets that mean harm, of every type",
        demanded="each check ends by its own error within its timeout + 0.2 s; the agent grows by"
        " < 20 MB; the other monitors' latency is off by < 5 ms",
        run=_run,
    ),
)
