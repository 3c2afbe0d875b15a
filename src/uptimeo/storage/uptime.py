"""What was the uptime of a window, and how fast were the answers? Read from the rollups."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg.rows import class_row

from uptimeo.domain.errors import FatalError
from uptimeo.storage.database import Connection, one, our_errors

_PLACES = "SELECT id FROM datacenters WHERE code = ANY(%s)"
_CODES = "SELECT array_agg(code::text ORDER BY id) FROM datacenters"
_MONITOR = "SELECT EXISTS (SELECT FROM monitor_duty WHERE monitor_id = %s)"
_EVERY = "SELECT array_agg(DISTINCT monitor_id) FROM monitor_duty"
_KNOWN_FROM = "SELECT known_from(%s, %s)"
_UPTIMES = """
SELECT u.monitor_id, coalesce(m.name, format('(removed monitor %%s)', u.monitor_id)) AS monitor,
       ARRAY(SELECT coalesce(d.code, p::text) FROM unnest(u.datacenters) p
             LEFT JOIN datacenters d ON d.id = p ORDER BY p) AS datacenters,
       u.window_start, u.window_end, u.uptime, u.coverage, u.uptime_gaps_down, u.window_ms,
       u.up_ms, u.degraded_ms, u.critical_ms, u.down_ms, u.maintenance_ms, u.unknown_ms,
       u.no_leader_ms, u.missing_ms, u.not_scheduled_ms, u.checks, u.expected,
       l.p50_ms, l.p95_ms, l.p99_ms
FROM uptime_of(%(monitors)s, %(since)s, %(until)s, %(places)s, %(apart)s) u
LEFT JOIN latency_of(%(monitors)s, %(since)s, %(until)s, %(places)s, %(apart)s, '{total}') l
    ON l.monitor_id = u.monitor_id
   AND (l.datacenter_id IS NULL OR l.datacenter_id = u.datacenters[1])
LEFT JOIN api_monitors m ON m.id = u.monitor_id
WHERE u.not_scheduled_ms < u.window_ms
ORDER BY u.monitor_id, u.datacenters
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """A monitor in a window, in one datacenter or all of `datacenters` together.

    The kinds of time add up to `window_ms`; shares are rounded down, None of nothing. Quantiles
    are of successful checks, at most 2.44 % off.
    """

    monitor_id: int
    monitor: str
    datacenters: list[str]
    window_start: datetime
    window_end: datetime
    uptime: Decimal | None
    coverage: Decimal | None
    uptime_gaps_down: Decimal | None
    window_ms: int
    up_ms: int
    degraded_ms: int
    critical_ms: int
    down_ms: int
    maintenance_ms: int
    unknown_ms: int
    no_leader_ms: int
    missing_ms: int
    not_scheduled_ms: int
    checks: int
    expected: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def without_verdict_ms(self) -> int:
        """Time of which nobody knows how the target was."""
        return self.unknown_ms + self.no_leader_ms + self.missing_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is asked: the window, one monitor or all, datacenters by code or all, apart or not."""

    since: datetime
    until: datetime
    monitor: int | None = None
    datacenters: tuple[str, ...] = ()
    apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UptimeReport:
    """The answer; without rows, nothing was due in the window. `known_from` may be later."""

    period: Period
    known_from: datetime | None
    rows: Sequence[Uptime]


async def uptime_report(connection: Connection, period: Period) -> UptimeReport:
    """Raises FatalError for a monitor or a datacenter that there never was."""
    with our_errors():
        places = await _places(connection, period.datacenters)
        monitors = await _monitors(connection, period.monitor)
        given = {
            "monitors": monitors,
            "since": period.since,
            "until": period.until,
            "places": places,
            "apart": period.apart,
        }
        cursor = connection.cursor(row_factory=class_row(Uptime))
        await cursor.execute(_UPTIMES, given)
        return UptimeReport(
            period=period,
            known_from=await one(connection, _KNOWN_FROM, (monitors, places)),
            rows=await cursor.fetchall(),
        )


async def _places(connection: Connection, codes: Sequence[str]) -> list[int] | None:
    if not codes:
        return None
    known = await one(connection, _CODES) or []
    for code in codes:
        if code not in known:
            listed = ", ".join(known) or "none"
            raise FatalError(f"--datacenter: there is no datacenter {code}; known are: {listed}")
    cursor = await connection.execute(_PLACES, (list(codes),))
    return [key for (key,) in await cursor.fetchall()]


async def _monitors(connection: Connection, monitor: int | None) -> list[int]:
    if monitor is None:
        return list(await one(connection, _EVERY) or [])
    if not await one(connection, _MONITOR, (monitor,)):
        raise FatalError(
            f"--monitor: there is no monitor {monitor}: `uptimeo monitor list` shows them"
        )
    return [monitor]
