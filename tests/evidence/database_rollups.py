"""How far is a percentile that is read from rollups from that of the heartbeats themselves?

Monitors with latencies of several kinds, slower in each next datacenter, are stored as agents store
them and rolled up. Then each is asked for windows of one and of three datacenters, and the same
windows are read from the heartbeats.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import median

from tests.evidence.database_figures import Figure, Scale
from tests.evidence.database_rows import DATACENTERS, INTERVAL_S, begin_terms, targets
from tests.support.rollups import roll
from uptimeo.domain.heartbeat import Heartbeat, Origin, to_wire
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.result import ProbeResult
from uptimeo.domain.verdict import Status
from uptimeo.storage.database import Connection, connect, make_pool
from uptimeo.storage.heartbeats import HeartbeatStore

_MAX_ERROR = 2.5
_QUANTILE = 0.95
_HOURS = 3
_CHECKS = _HOURS * 3600 // INTERVAL_S
# From and until, in minutes after the start: whole hours, parts of them, and little.
_WINDOWS = ((0, 180), (0, 60), (25, 155), (55, 65), (60, 65))
_PLACES = ([1], [1, 2, 3])
_TERMS = "SELECT datacenter_id, holder::text FROM agent_terms"
_ROLLED = """
SELECT ms, checks FROM latency_percentiles(
    %(monitor)s, %(since)s, %(until)s, 'total', %(places)s, ARRAY[%(quantile)s::float8])
"""
_EXACT = """
SELECT percentile_disc(%(quantile)s) WITHIN GROUP (ORDER BY response_time_ms)::float8, count(*)
FROM api_heartbeats
WHERE monitor_id = %(monitor)s AND datacenter_id = ANY (%(places)s)
  AND scheduled_at >= %(since)s AND scheduled_at < %(until)s
"""


def _one_outlier(chance: random.Random) -> list[float]:
    latencies = [chance.uniform(80, 120) for _ in range(_CHECKS)]
    latencies[chance.randrange(_CHECKS)] = 60_000.0
    return latencies


def _bimodal(chance: random.Random) -> list[float]:
    """One in fourteen misses a cache: the percentile lies on the slope between."""
    near = [(40, 4) if chance.random() < 0.93 else (900, 60) for _ in range(_CHECKS)]
    return [chance.gauss(middle, spread) for middle, spread in near]


# The latencies of a monitor in a datacenter, in ms.
KINDS: Mapping[str, Callable[[random.Random], list[float]]] = {
    "exponential": lambda chance: [chance.expovariate(1 / 150) for _ in range(_CHECKS)],
    "lognormal": lambda chance: [chance.lognormvariate(4.5, 0.8) for _ in range(_CHECKS)],
    "bimodal": _bimodal,
    "constant": lambda chance: [chance.uniform(10, 1000)] * _CHECKS,
    "one outlier": _one_outlier,
}


@dataclass(frozen=True, slots=True)
class Watched:
    """A monitor and the kind of its latencies; its number is the seed."""

    monitor: Monitor
    kind: str


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """The worst error of each kind, and of all; `scale.monitors` have each kind in turn."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = hour - timedelta(hours=_HOURS + 1)
    kinds = list(KINDS)
    watched = [
        Watched(target.monitor, kinds[number % len(kinds)])
        for number, target in enumerate(targets(scale.monitors))
    ]
    errors: dict[str, list[float]] = {}
    async with await connect(conninfo) as connection:
        await _store(conninfo, connection, watched, start)
        await roll(connection)
        for each in watched:
            errors.setdefault(each.kind, []).extend(await _errors(connection, each, start))
    return list(_figures(errors))


async def _store(
    conninfo: str, connection: Connection, watched: Sequence[Watched], start: datetime
) -> None:
    await begin_terms(connection, start)
    terms = await (await connection.execute(_TERMS)).fetchall()
    holders = {place: str(holder) for place, holder in terms}
    async with make_pool(conninfo, 1) as pool:
        for place in DATACENTERS:
            store = HeartbeatStore(pool, place)
            for each in watched:
                bodies = list(_bodies(each, place, holders[place], start))
                done = await store.ingest(bodies)
                assert done.inserted == len(bodies), set(done.set_aside.values())


def _bodies(watched: Watched, place: DatacenterId, holder: str, start: datetime) -> Iterator[str]:
    """What an agent sends of it; the same target is half as slow again in each next datacenter."""
    latencies = KINDS[watched.kind](random.Random(watched.monitor.id * 10 + place))
    origin = Origin(datacenter_id=place, agent_id=place, term=1, holder=holder)
    for number, latency in enumerate(latencies):
        slot = start + number * timedelta(seconds=INTERVAL_S)
        yield to_wire(
            Heartbeat(
                monitor=watched.monitor,
                origin=origin,
                scheduled_at=slot,
                executed_at=slot,
                attempts=1,
                status=Status.UP,
                result=ProbeResult(total_ms=latency * 1.5 ** (place - 1)),
                evidence=None,
            )
        )


async def _errors(connection: Connection, watched: Watched, start: datetime) -> list[float]:
    """In per cent of the exact percentile, of each window."""
    errors = []
    for (since, until), places in product(_WINDOWS, _PLACES):
        asked = {
            "monitor": watched.monitor.id,
            "since": start + timedelta(minutes=since),
            "until": start + timedelta(minutes=until),
            "places": places,
            "quantile": _QUANTILE,
        }
        found, checks = await _answer(connection, _ROLLED, asked)
        exact, stored = await _answer(connection, _EXACT, asked)
        assert checks == stored > 0, f"{checks} checks in the rollups of {asked}, {stored} stored"
        errors.append(100 * abs(found / exact - 1))
    return errors


async def _answer(
    connection: Connection, query: str, asked: Mapping[str, object]
) -> tuple[float, int]:
    row = await (await connection.execute(query.encode(), asked)).fetchone()
    assert row is not None
    return row[0], row[1]


def _figures(errors: Mapping[str, Sequence[float]]) -> Iterator[Figure]:
    every = [error for some in errors.values() for error in some]
    yield Figure(name="error of a p95, at worst", value=max(every), unit="%", at_most=_MAX_ERROR)
    for kind, some in errors.items():
        yield Figure(name=f"  {kind}: at worst", value=max(some), unit="%")
        yield Figure(name=f"  {kind}: median", value=median(some), unit="%")
    yield Figure(name="windows compared", value=len(every), unit="windows")
