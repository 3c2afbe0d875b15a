"""The config rows of monitors: read by agents, written by the command line."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.domain.secret import SealedSecret
from uptimeo.storage.database import Pool, borrowed
from uptimeo.storage.secrets import sealed_secrets

COLUMNS = """
SELECT m.id, m.name, m.type, m.method, m.url, m.headers, m.body, m.options, m.enabled,
       m.retries, m.retry_delay_ms,
       coalesce(m.timeout_ms, s.timeout_ms) AS timeout_ms, s.name AS schedule,
       s.interval AS interval_s, s.thresholds_warning AS warning_ms,
       s.thresholds_critical AS critical_ms, s.include_response_body AS keep_body
FROM api_monitors m LEFT JOIN schedules s ON s.id = m.schedule_id
"""
OF_DATACENTER = f"""{COLUMNS}
WHERE m.enabled AND (
    NOT EXISTS (SELECT FROM datacenter_monitors d WHERE d.monitor_id = m.id)
    OR EXISTS (SELECT FROM datacenter_monitors d
               WHERE d.monitor_id = m.id AND d.datacenter_id = %(datacenter)s))
ORDER BY m.id
"""
_NOTE_ERRORS = "SELECT config_errors_note(%s, %s, %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRow:
    """A row of `api_monitors` with its schedule, as it stands; nothing is checked yet.

    The schedule's columns are None for a row without one.
    """

    id: int
    name: str
    type: str
    method: str
    url: str
    headers: Any
    body: Any
    options: Any
    enabled: bool
    timeout_ms: int | None
    schedule: str | None
    interval_s: int | None
    warning_ms: int | None
    critical_ms: int | None
    keep_body: bool | None
    retries: int = 0
    retry_delay_ms: int = 0


class MonitorStore:
    """The tables `api_monitors`, `schedules`, `datacenter_monitors`, `monitor_config_errors`."""

    def __init__(self, pool: Pool, datacenter: DatacenterId) -> None:
        self._pool = pool
        self._datacenter = datacenter

    async def rows(self) -> list[MonitorRow]:
        """The enabled monitors that run in the datacenter, by id."""
        async with borrowed(self._pool) as connection:
            cursor = connection.cursor(row_factory=class_row(MonitorRow))
            await cursor.execute(OF_DATACENTER, {"datacenter": self._datacenter})
            return await cursor.fetchall()

    async def sealed(self, names: Collection[str]) -> list[SealedSecret]:
        """The secrets of these names that are for the datacenter, or for all of them."""
        async with borrowed(self._pool) as connection:
            return await sealed_secrets(connection, names, self._datacenter)

    async def record_errors(
        self, errors: Mapping[MonitorId, str], valid: Iterable[MonitorId]
    ) -> None:
        """Show which rows cannot be used, and why; forget what is in order again."""
        by_id = Jsonb({str(key): reason for key, reason in errors.items()})
        async with borrowed(self._pool) as connection:
            await connection.execute(_NOTE_ERRORS, (self._datacenter, by_id, list(valid)))
