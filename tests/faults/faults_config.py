"""Config rows that change many times: how soon do checks show it, with and without notices?"""

import asyncio
import random
import time
from collections.abc import Sequence

from tests.faults.installation import Installation, installation
from tests.faults.report import Fault, Figure, Outcome, Scale, percentile, say
from uptimeo.storage.database import Connection, one

_MONITORS = 40  # of one schedule: a check every 25 ms shows its threshold
_FIRST_MS = 5_001
_CHANGE = "UPDATE schedules SET thresholds_warning = %s"
# A later change may be read together with this one.
_FIRST_SHOWN = """
SELECT extract(epoch FROM min(executed_at))::float8 FROM api_heartbeats
WHERE warning_threshold_ms >= %s
"""
_BACK = """
SELECT count(*) FROM (
    SELECT warning_threshold_ms, max(warning_threshold_ms) OVER (ORDER BY executed_at) AS newest
    FROM api_heartbeats) x
WHERE warning_threshold_ms < newest
"""


async def _changed(scale: Scale) -> Outcome:
    full = scale is Scale.FULL
    changes, losses, poll_s = (200, 3, 30.0) if full else (20, 1, 5.0)
    async with installation(options=("fsync=off",)) as place:
        await place.add_monitors(_MONITORS)
        told = await _noticed(place, changes)
        untold = await _unnoticed(place, losses, poll_s, _FIRST_MS + changes)
        async with await place.connect() as connection:
            back = int(await one(connection, _BACK))
    return Outcome(
        runs=changes + losses,
        figures=[
            Figure("p50", percentile(told, 50), "s"),
            Figure("p95", percentile(told, 95), "s", at_most=1.0),
            Figure("max", max(told), "s"),
            Figure("max with the notice lost", max(untold), "s", at_most=poll_s + 1.0),
            Figure("checks that went back to older rows", back, at_most=0),
        ],
        notes=[f"rows are read anew every {poll_s:g} s without notices"],
    )


async def _noticed(place: Installation, changes: int) -> list[float]:
    """How long each change took to show, when polling alone would take half a minute."""
    async with place.agent("agent-a", UPTIMEO_CONFIG_POLL_S="30") as agent:
        await agent.event("lease_acquired")
        await asyncio.sleep(2.0)
        async with await place.connect() as connection:
            made = []
            for number in range(changes):
                made.append(await _change(connection, _FIRST_MS + number))
                await asyncio.sleep(random.uniform(0.2, 0.6))
            shown = await _shown(connection, _FIRST_MS + changes - 1)
            say(f"the last of {changes} changes showed after {shown - made[-1]:.3f} s")
            return await _delays(connection, made)


async def _unnoticed(
    place: Installation, losses: int, poll_s: float, threshold_ms: int
) -> list[float]:
    """The same when no notice is sent."""
    delays = []
    async with place.agent("agent-a", UPTIMEO_CONFIG_POLL_S=f"{poll_s:g}") as agent:
        await agent.event("lease_acquired")
        await asyncio.sleep(2.0)
        async with await place.connect() as connection:
            await connection.execute("ALTER TABLE schedules DISABLE TRIGGER USER")
            for number in range(losses):
                await asyncio.sleep(random.uniform(0.0, poll_s / 4))
                made = await _change(connection, threshold_ms + number)
                delays.append(await _shown(connection, threshold_ms + number) - made)
                say(f"a change without a notice showed after {delays[-1]:.1f} s")
    return delays


async def _change(connection: Connection, threshold_ms: int) -> float:
    """Commit a change; answers with when."""
    await connection.execute(_CHANGE.encode(), (threshold_ms,))
    return time.time()


async def _shown(connection: Connection, threshold_ms: int) -> float:
    async with asyncio.timeout(90.0):
        while (at := await one(connection, _FIRST_SHOWN, (threshold_ms,))) is None:
            await asyncio.sleep(0.1)
    return float(at)


async def _delays(connection: Connection, made: Sequence[float]) -> list[float]:
    found = [await _shown(connection, _FIRST_MS + number) for number in range(len(made))]
    return [at - commit for at, commit in zip(found, made, strict=True)]


FAULTS = (
    Fault(
        id="F22",
        title="configuration changed many times, also with the notice lost",
        demanded="first check that shows it: p95 < 1 s; <= 31 s when the notice is lost (a poll)",
        run=_changed,
    ),
)
