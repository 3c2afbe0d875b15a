"""What do people ask of the stored heartbeats?"""

from dataclasses import dataclass
from datetime import datetime

from uptimeo.domain.result import Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHeartbeat:
    """One row of `api_heartbeats` as people read it; times are UTC."""

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

    `recent` are the statuses of its latest heartbeats, oldest first.
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
