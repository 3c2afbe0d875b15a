"""How does a test get a monitor, a result or a heartbeat of which only a few fields matter?"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from uptimeo.domain.check import Check
from uptimeo.domain.heartbeat import Heartbeat, Origin
from uptimeo.domain.monitor import DatacenterId, Monitor, MonitorId, Thresholds
from uptimeo.domain.partition import Hold
from uptimeo.domain.result import ErrorType, Failure, Phases, ProbeResult
from uptimeo.domain.verdict import judge
from uptimeo.leader.elector import Elector
from uptimeo.probes.base import ProbeOptions
from uptimeo.storage.monitors import MonitorRow

VA = DatacenterId(1)
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
HOLDER = "0b5c3f0e-7a36-4d0e-9f6e-2f4a8d7b9c01"
URL = "https://shop.example/health"


def monitor(number: int = 7, **changes: Any) -> Monitor:
    """A monitor that is checked once a minute."""
    fields: dict[str, Any] = {
        "id": MonitorId(number),
        "name": "checkout",
        "type": "http",
        "target": URL,
        "interval_s": 60,
        "timeout_ms": 10_000,
        "thresholds": Thresholds(),
        "keep_body": False,
        "options": ProbeOptions(url=URL),
    }
    return Monitor(**fields | changes)


def origin(**changes: Any) -> Origin:
    """The leadership of agent 1 in its first term."""
    fields: dict[str, Any] = {"datacenter_id": VA, "agent_id": 1, "term": 1, "holder": HOLDER}
    return Origin(**fields | changes)


def check(number: int = 7, **changes: Any) -> Check:
    """A check of a monitor that is due at noon."""
    fields: dict[str, Any] = {
        "monitor": monitor(number),
        "scheduled_at": NOON,
        "origin": origin(),
    }
    return Check(**fields | changes)


def result(**changes: Any) -> ProbeResult:
    """A success after 120 ms."""
    fields: dict[str, Any] = {"total_ms": 120.0, "phases": Phases(dns=20.0, wait=80.0)}
    return ProbeResult(**fields | changes)


def failed(error: ErrorType = ErrorType.CONNECT_REFUSED, **changes: Any) -> ProbeResult:
    """A failure of that type."""
    failure = Failure(type=error, message=f"{error.value} at 203.0.113.20:443")
    return result(failure=failure, **changes)


def heartbeat(number: int = 7, **changes: Any) -> Heartbeat:
    """The heartbeat of a success at noon; its status is judged from result and monitor."""
    fields: dict[str, Any] = {
        "monitor": monitor(number),
        "origin": origin(),
        "scheduled_at": NOON,
        "executed_at": NOON,
        "attempts": 1,
        "result": result(),
        "evidence": None,
    }
    fields |= changes
    fields.setdefault("status", judge(fields["result"], fields["monitor"].thresholds))
    return Heartbeat(**fields)


def row(**changes: Any) -> MonitorRow:
    """A config row, as the database gives it, that describes a valid monitor."""
    fields: dict[str, Any] = {
        "id": 7,
        "name": "checkout",
        "type": "HTTP",
        "method": "GET",
        "url": URL,
        "headers": None,
        "body": None,
        "options": {},
        "enabled": True,
        "timeout_ms": None,
        "schedule": "every minute",
        "interval_s": 60,
        "warning_ms": None,
        "critical_ms": None,
        "keep_body": False,
    }
    return MonitorRow(**fields | changes)


def environment(**changes: str | None) -> Mapping[str, str]:
    """The variables that an agent needs; None takes one away."""
    fields: dict[str, str | None] = {
        "DATACENTER_ID": "1",
        "DB_CONN_STRING": "postgresql://uptimeo@db.example/uptimeo",
        "UPTIMEO_DATA_DIR": "/srv/uptimeo",
        "UPTIMEO_INSTANCE": "agent-1",
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def listen(elector: Elector, begin: float, end: float, others: int = 0) -> None:
    """Ask the other agents as `Peers` does, without an answer."""
    for step in range(int((end - begin) / 0.25) + 1):
        elector.asking_peers(begin + step * 0.25, others)


def hold(**changes: Any) -> Hold:
    """A clock that is 31 days ahead, and will be believed in two days."""
    fields: dict[str, Any] = {
        "since": NOON + timedelta(days=30),
        "believed_at": NOON,
        "clock_at": NOON + timedelta(days=31),
        "still": timedelta(hours=48),
    }
    return Hold(**fields | changes)
