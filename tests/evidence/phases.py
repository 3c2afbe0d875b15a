"""How far off are the phases of HTTP checks, while an agent begins 300 of them every second?

The installed agent, with its scheduler, its runner, its spool and a PostgreSQL, checks a target
that says in each answer for how long it held the TLS handshake, the first byte and the rest of
the body. A third of the checks goes over a link that holds the SYN, and says for how long. Target
and link are real-time processes of the same host. Exits with 1 above p50 0.5 ms or p99 3 ms.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.evidence.link import FAR, Held, link
from tests.faults.installation import Installation, installation
from tests.support.agents import Running
from tests.support.tunnel import NEAR, Tunnel, tunnel
from uptimeo.calibration.measure import (
    CONNECT,
    FIRST_BYTE,
    TLS,
    TRANSFER,
    PhaseError,
    calibration_target,
    summary,
)
from uptimeo.calibration.truth import Target, read_truth
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, add_monitor

_MONITORS, _FAR_EVERY = 300, 3
_HOLD_MS = 20.0
_WARM_UP_S = 5.0
_P50_MS, _P99_MS = 0.5, 3.0
_SEEN = """
SELECT h.monitor_id, h.status, coalesce(h.error_message, ''), h.tcp_connect_ms,
       h.tls_handshake_ms, h.wait_ms, h.transfer_ms, h.raw_response_body::text,
       (h.details->>'lag_ms')::float8
FROM api_heartbeats h
WHERE h.attempts > 0 AND coalesce(h.error_type, '') <> 'agent_stopped'
  AND h.scheduled_at > (SELECT min(scheduled_at) FROM api_heartbeats) + %s * interval '1 s'
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat; times in ms."""

    monitor: int
    status: str
    message: str
    connect: float | None
    tls: float | None
    wait: float | None
    transfer: float | None
    body: str | None
    lag: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the agent stored, and the share of one processor that it took."""

    beats: Sequence[Beat]
    far: frozenset[int]
    busy: float


async def _measure(device: Tunnel, seconds: float) -> Found:
    async with AsyncExitStack() as stack:
        with device.inside():
            target = await stack.enter_async_context(calibration_target(_HOLD_MS, NEAR))
        place = await stack.enter_async_context(installation())
        far = await _add_monitors(place, target)
        with device.inside():
            agent = await stack.enter_async_context(place.agent("agent"))
        await agent.event("lease_acquired")
        await asyncio.sleep(_WARM_UP_S)
        busy = await _share(agent, seconds)
        async with await place.connect() as connection:
            rows = await (await connection.execute(_SEEN, (_WARM_UP_S,))).fetchall()
    return Found([Beat(*row) for row in rows], far, busy)


async def _add_monitors(place: Installation, target: Target) -> frozenset[int]:
    """A third of them over the link, without TLS; answers with their ids."""
    schedule, far = NewSchedule(interval_s=1, keep_body=True), set()
    async with await place.connect() as connection, connection.transaction():
        for number in range(_MONITORS):
            is_far = number % _FAR_EVERY == 0
            new = NewMonitor(
                name=f"phases {number}",
                type="http" if is_far else "https",
                url=f"http://{FAR}:{target.http_port}/" if is_far else target.https_url,
                options={} if is_far else {"ca_pem": target.ca_pem},
                schedule=schedule,
                timeout_ms=3000,
            )
            added = await add_monitor(connection, new)
            if is_far:
                far.add(added)
    return frozenset(far)


async def _share(agent: Running, seconds: float) -> float:
    """Which part of one processor the agent took in that time."""
    before = _processor_s(agent)
    await asyncio.sleep(seconds)
    return (_processor_s(agent) - before) / seconds


def _processor_s(agent: Running) -> float:
    fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _errors(found: Found, held: Held) -> list[Mapping[str, float]]:
    errors: list[Mapping[str, float]] = []
    for beat in found.beats:
        if beat.status != "up" or beat.body is None:
            continue
        truth = read_truth(beat.body)
        if beat.monitor in found.far:
            times = held.ms.get(truth.port, [])
            if len(times) == 1 and beat.connect is not None:
                errors.append({CONNECT: beat.connect - times[0]})
        elif beat.tls is not None and beat.wait is not None and beat.transfer is not None:
            errors.append(
                {
                    TLS: beat.tls - truth.tls_ms,
                    FIRST_BYTE: beat.wait - truth.wait_ms,
                    TRANSFER: beat.transfer - truth.transfer_ms,
                }
            )
    return errors


def _print(found: Found, each: PhaseError) -> bool:
    print(
        f"{each.phase:<12} held for {_HOLD_MS:g} ms, error"
        f" p50 {each.p50_ms:7.3f}  p99 {each.p99_ms:7.3f}  max {each.max_ms:8.3f} ms"
    )
    return each.within(_P50_MS, _P99_MS)


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    try:
        with tunnel() as device, link(device, _HOLD_MS) as held:
            found = asyncio.run(_measure(device, seconds))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: this machine has no network of our own: {error}")
        return 0
    rate = len(found.beats) / seconds
    failed = [beat for beat in found.beats if beat.status != "up"]
    late = sum(1 for beat in found.beats if beat.lag)
    print(f"{len(found.beats)} checks, {rate:.0f}/s; {len(failed)} not up; {late} beside a stall")
    print(f"the agent took {found.busy:.0%} of one processor\n")
    for beat in failed[:5]:
        print(f"  {beat.status}: {beat.message}")
    figures = summary(_errors(found, held))
    good = [_print(found, each) for each in figures]
    return 0 if all(good) and len(good) == 4 and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
