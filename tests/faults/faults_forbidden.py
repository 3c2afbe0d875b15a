"""Does a check ever get to a forbidden address, whatever its monitor, DNS or a redirect says?

Counted where it would arrive, twice: by listeners, and by iptables. The same monitors of an agent
that may go everywhere show that it would be seen.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.forbidden_place import PORT, Listeners, Place, listening, missing, place
from tests.faults.forbidden_targets import NAMES, SPELLINGS, attempts, redirects
from tests.faults.installation import Installation, installation
from tests.faults.report import Fault, Figure, Outcome, Scale, SkipFault, say
from uptimeo.domain.result import ErrorType
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, add_monitor

_INTERVAL_S = 10
_TIMEOUT_MS = 900
_RUN_S = {Scale.FULL: 62.0, Scale.SHORT: 12.0}
_CONTROL_S = 12.0
_SEEN = """
SELECT m.type, coalesce(h.error_type, h.status), count(*)
FROM api_heartbeats h JOIN api_monitors m ON m.id = h.monitor_id WHERE attempts > 0
GROUP BY 1, 2 ORDER BY 3 DESC
"""
_INVALID = "SELECT count(*) FROM monitor_config_errors"


@dataclass(frozen=True, slots=True)
class Run:
    """What one agent did with all the monitors."""

    checks: Counter[str]
    by_error: Counter[str]
    invalid: int
    heard: list[str]
    told: list[str]
    packets: dict[str, int]
    queries: int


async def _run(scale: Scale) -> Outcome:
    if (why := missing()) is not None:
        raise SkipFault(why)
    with place() as where:
        guarded = await _with(where, "default", _RUN_S[scale])
        say("  the same without a rule")
        control = await _with(where, "none", _CONTROL_S)
    return Outcome(
        runs=sum(guarded.checks.values()),
        figures=_figures(guarded, control),
        notes=_notes(guarded, control),
    )


async def _with(where: Place, networks: str, seconds: float) -> Run:
    """The monitors, checked by a fresh agent with that rule."""
    with where.inside():
        held = listening(redirects(PORT))
        listeners = await held.__aenter__()
    try:
        async with installation(options=("fsync=off",)) as site:
            await _add(site)
            where.forget()
            await _check(site, where, networks, seconds)
            return await _seen(site, where, listeners)
    finally:
        await held.__aexit__(None, None, None)


async def _add(site: Installation) -> None:
    schedule = NewSchedule(interval_s=_INTERVAL_S, name="often")
    async with await site.connect() as connection, connection.transaction():
        for number, attempt in enumerate(attempts(PORT)):
            new = NewMonitor(
                name=f"{number} {attempt.url}"[:100],
                type=attempt.type,
                url=attempt.url,
                options=attempt.options,
                schedule=schedule,
                timeout_ms=_TIMEOUT_MS,
            )
            await add_monitor(connection, new)


async def _check(site: Installation, where: Place, networks: str, seconds: float) -> None:
    settings = {"UPTIMEO_FORBIDDEN_NETWORKS": networks, "UPTIMEO_PEER_LISTEN": "off"}
    async with site.agent("agent", wrap=where.wrap, **settings) as agent:
        await agent.event("lease_acquired")
        await asyncio.sleep(seconds)


async def _seen(site: Installation, where: Place, listeners: Listeners) -> Run:
    async with await site.connect() as connection:
        rows = await (await connection.execute(_SEEN)).fetchall()
        invalid = await (await connection.execute(_INVALID)).fetchone()
    checks, by_error = Counter[str](), Counter[str]()
    for kind, error, number in rows:
        checks[kind] += number
        by_error[error] += number
    return Run(
        checks=checks,
        by_error=by_error,
        invalid=invalid[0] if invalid else 0,
        heard=listeners.forbidden(),
        told=listeners.told,
        packets={network: n for network, n in where.packets().items() if n},
        queries=listeners.queries,
    )


def _figures(guarded: Run, control: Run) -> Sequence[Figure]:
    monitors = sum(1 for _ in attempts(PORT))
    return [
        Figure("spellings and names", len(SPELLINGS) + len(NAMES), at_least=40),
        Figure("probe types", len(guarded.checks), at_least=10),
        Figure("checks", sum(guarded.checks.values()), at_least=monitors - guarded.invalid),
        Figure("connections to a forbidden address", len(guarded.heard), at_most=0),
        Figure("told to a proxy", len(guarded.told), at_most=0),
        Figure("packets to one", sum(guarded.packets.values()), at_most=0),
        Figure("ended by a fault of ours", guarded.by_error[ErrorType.INTERNAL], at_most=0),
        Figure("names looked up", guarded.queries, at_least=1),
        Figure("allowed: connections to one", len(control.heard), at_least=100),
        Figure("told to a proxy", len(control.told), at_least=20),
        Figure("packets to one", sum(control.packets.values()), at_least=100),
    ]


def _notes(guarded: Run, control: Run) -> list[str]:
    shown = ", ".join(f"{error} {number}" for error, number in guarded.by_error.most_common(12))
    notes = [f"{guarded.invalid} monitors refused as rows", f"ended as {shown}"]
    if guarded.heard or guarded.told or guarded.packets:
        reached = Counter([*guarded.heard, *guarded.told])
        notes.append(f"reached {reached}, {guarded.packets}")
    notes.append(f"allowed: {len(set(control.heard))} addresses reached")
    return notes


FAULTS = (
    Fault(
        id="F21",
        title="monitors, names and redirects that lead to forbidden addresses",
        demanded="0 connections to a forbidden address, by the listeners and by iptables;"
        " 0 internal errors",
        run=_run,
    ),
)
