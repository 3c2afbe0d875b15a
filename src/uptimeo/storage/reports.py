"""What do people ask of the stored heartbeats?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from uptimeo.domain.result import Phases
from uptimeo.storage.database import Connection, our_errors

_HEARTBEAT_COLUMNS = """
    h.id, h.monitor_id, h.datacenter_id, h.scheduled_at, h.executed_at, h.status,
    h.response_time_ms, h.redirect_ms, h.dns_lookup_ms, h.tcp_connect_ms, h.tls_handshake_ms,
    h.send_ms, h.wait_ms, h.transfer_ms, h.response_status_code, host(h.resolved_ip) AS ip,
    h.error_type, h.error_message, h.failed_phase
"""
_LATEST = f"""
SELECT {_HEARTBEAT_COLUMNS}, m.name AS monitor, d.code AS datacenter
FROM (SELECT * FROM api_heartbeats
      WHERE %(monitor)s::int IS NULL OR monitor_id = %(monitor)s
      ORDER BY executed_at DESC LIMIT %(limit)s) h
LEFT JOIN api_monitors m ON m.id = h.monitor_id
LEFT JOIN datacenters d ON d.id = h.datacenter_id
ORDER BY h.executed_at DESC
"""
_SINCE = f"""
SELECT {_HEARTBEAT_COLUMNS}, m.name AS monitor, d.code AS datacenter
FROM api_heartbeats h
LEFT JOIN api_monitors m ON m.id = h.monitor_id
LEFT JOIN datacenters d ON d.id = h.datacenter_id
WHERE h.executed_at >= %(since)s AND h.scheduled_at >= %(since_day)s
  AND h.id <> ALL(%(seen)s) AND (%(monitor)s::int IS NULL OR h.monitor_id = %(monitor)s)
ORDER BY h.id
"""
# Each pair's latest heartbeats come off the end of the primary key, however many there are.
_STATES = f"""
SELECT m.id AS for_monitor, m.name AS for_name, monitor_target(m.id) AS target, m.enabled,
       d.code AS for_datacenter, s.interval AS interval_s, s.thresholds_warning,
       s.thresholds_critical, e.reason, h.*, m.name AS monitor, d.code AS datacenter,
       recent.statuses
FROM api_monitors m
CROSS JOIN datacenters d
LEFT JOIN schedules s ON s.id = m.schedule_id
LEFT JOIN monitor_config_errors e ON e.monitor_id = m.id
LEFT JOIN LATERAL (
    SELECT {_HEARTBEAT_COLUMNS} FROM api_heartbeats h
    WHERE h.monitor_id = m.id AND h.datacenter_id = d.id
      AND h.scheduled_at > now() - interval '2 days'
    ORDER BY h.scheduled_at DESC LIMIT 1) h ON true
LEFT JOIN LATERAL (
    SELECT array_agg(r.status ORDER BY r.scheduled_at) AS statuses FROM (
        SELECT status, scheduled_at FROM api_heartbeats
        WHERE monitor_id = m.id AND datacenter_id = d.id
          AND scheduled_at > now() - interval '2 days'
        ORDER BY scheduled_at DESC LIMIT 20) r) recent ON true
WHERE (%(datacenter)s::int IS NULL OR d.id = %(datacenter)s)
  AND (h.monitor_id IS NOT NULL OR EXISTS (
       SELECT FROM agent_terms t WHERE t.datacenter_id = d.id) OR d.id = %(datacenter)s)
  AND (NOT EXISTS (SELECT FROM datacenter_monitors x WHERE x.monitor_id = m.id)
       OR EXISTS (SELECT FROM datacenter_monitors x
                  WHERE x.monitor_id = m.id AND x.datacenter_id = d.id))
ORDER BY m.id, d.id
"""

_WATCHES = """
SELECT d.code AS datacenter, l.term, t.started_at AS since,
       CASE WHEN l.expires_at > clock_timestamp() THEN l.holder_name END AS leader,
       (SELECT array_agg(a.name ORDER BY a.name)
        FROM agent_instances i JOIN agents a ON a.id = i.agent_id
        WHERE a.datacenter_id = d.id AND i.last_seen > clock_timestamp() - interval '30 s'
          AND a.name IS DISTINCT FROM l.holder_name) AS standbys
FROM agent_leases l
JOIN datacenters d ON d.id = l.datacenter_id
LEFT JOIN agent_terms t ON t.datacenter_id = l.datacenter_id AND t.term = l.term
WHERE %(datacenter)s::int IS NULL OR d.id = %(datacenter)s
ORDER BY d.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHeartbeat:
    """One row of `api_heartbeats` as people read it; times are UTC."""

    id: int = 0
    monitor_id: int
    monitor: str
    datacenter: str
    scheduled_at: datetime
    executed_at: datetime
    status: str
    response_time_ms: float | None
    phases: Phases
    status_code: int | None
    resolved_ip: str | None
    error_type: str | None
    error_message: str | None
    failed_phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """One monitor in one datacenter, now. `last` is None before its first heartbeat.

    `recent` are the statuses of its latest heartbeats, oldest first; `config_error` says why its
    row cannot be used.
    """

    monitor_id: int
    monitor: str
    target: str
    datacenter: str
    interval_s: int
    enabled: bool
    warning_ms: int | None
    critical_ms: int | None
    last: StoredHeartbeat | None
    recent: tuple[str, ...]
    config_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who leads a datacenter and who stands by; `leader` is None while nobody leads.

    `standbys` have reported within the last half minute.
    """

    datacenter: str
    leader: str | None
    term: int
    since: datetime | None
    standbys: tuple[str, ...]


class Reports:
    """Read models over one connection, which the caller keeps."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def latest(self, limit: int, monitor: int | None = None) -> list[StoredHeartbeat]:
        """The newest heartbeats, newest first."""
        rows = await self._rows(_LATEST, {"limit": limit, "monitor": monitor})
        return [_heartbeat(row) for row in rows]

    async def since(
        self, moment: datetime, seen: list[int], monitor: int | None = None
    ) -> list[StoredHeartbeat]:
        """The heartbeats executed from the moment on whose ids were not seen, in order of id."""
        utc = moment.astimezone(UTC)
        given = {
            "since": utc.replace(tzinfo=None),
            "since_day": utc,
            "seen": seen,
            "monitor": monitor,
        }
        return [_heartbeat(row) for row in await self._rows(_SINCE, given)]

    async def states(self, datacenter: int | None = None) -> list[MonitorState]:
        """Every monitor in every datacenter where it runs and an agent ever led."""
        rows = await self._rows(_STATES, {"datacenter": datacenter})
        return [_state(row) for row in rows]

    async def watches(self, datacenter: int | None = None) -> list[Watch]:
        """Every datacenter in which an agent ever led."""
        rows = await self._rows(_WATCHES, {"datacenter": datacenter})
        return [Watch(**row | {"standbys": tuple(row["standbys"] or ())}) for row in rows]

    async def _rows(self, query: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        with our_errors():
            cursor = self._connection.cursor(row_factory=dict_row)
            await cursor.execute(query.encode(), params)
            return await cursor.fetchall()


def _heartbeat(row: Mapping[str, Any]) -> StoredHeartbeat:
    return StoredHeartbeat(
        id=row["id"],
        monitor_id=row["monitor_id"],
        monitor=row["monitor"] or f"(removed monitor {row['monitor_id']})",
        datacenter=row["datacenter"] or str(row["datacenter_id"]),
        scheduled_at=row["scheduled_at"].astimezone(UTC),
        executed_at=row["executed_at"].replace(tzinfo=UTC),
        status=row["status"],
        response_time_ms=row["response_time_ms"],
        phases=Phases(
            redirect=row["redirect_ms"],
            dns=row["dns_lookup_ms"],
            connect=row["tcp_connect_ms"],
            tls=row["tls_handshake_ms"],
            send=row["send_ms"],
            wait=row["wait_ms"],
            transfer=row["transfer_ms"],
        ),
        status_code=row["response_status_code"],
        resolved_ip=row["ip"],
        error_type=row["error_type"],
        error_message=row["error_message"],
        failed_phase=row["failed_phase"],
    )


def _state(row: Mapping[str, Any]) -> MonitorState:
    return MonitorState(
        monitor_id=row["for_monitor"],
        monitor=row["for_name"],
        target=row["target"],
        datacenter=row["for_datacenter"],
        interval_s=row["interval_s"] or 0,
        enabled=row["enabled"],
        warning_ms=row["thresholds_warning"],
        critical_ms=row["thresholds_critical"],
        last=None if row["id"] is None else _heartbeat(row),
        recent=tuple(row["statuses"] or ()),
        config_error=row["reason"],
    )
