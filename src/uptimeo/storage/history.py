"""What was the configuration, and who changed it when?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from uptimeo.storage.database import Connection, our_errors

_CHANGES = """
SELECT changed_at, role, application, host(address) AS address, source, action, old, new
FROM monitor_history(%s)
"""
_AT = "SELECT monitor, schedule, datacenters FROM config_at(%s, %s)"
_CODES = "SELECT code FROM datacenters WHERE id = ANY(%s) ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """One row that was changed, with the columns that differ; times are UTC.

    `action` is insert, update, delete, or found: it was there when the history began. A row that
    came has no `old`, one that went no `new`.
    """

    changed_at: datetime
    role: str
    application: str
    address: str | None
    source: str
    action: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigThen:
    """A monitor, its schedule and its datacenters at a moment; no `datacenters`: all of them."""

    monitor: Mapping[str, Any]
    schedule: Mapping[str, Any] | None
    datacenters: tuple[str, ...]


async def changes_of(connection: Connection, monitor: int) -> list[ConfigChange]:
    """What changed for a monitor, oldest first; also for one that has been removed."""
    with our_errors():
        cursor = connection.cursor(row_factory=dict_row)
        rows = await (await cursor.execute(_CHANGES, (monitor,))).fetchall()
    return [ConfigChange(**row | {"changed_at": row["changed_at"].astimezone(UTC)}) for row in rows]


async def config_then(connection: Connection, monitor: int, moment: datetime) -> ConfigThen | None:
    """What was in force for a monitor at a moment; None: no such monitor is known of then."""
    with our_errors():
        row = await (await connection.execute(_AT, (monitor, moment))).fetchone()
        if row is None:
            return None
        codes = await (await connection.execute(_CODES, (row[2] or [],))).fetchall()
    return ConfigThen(monitor=row[0], schedule=row[1], datacenters=tuple(code for (code,) in codes))
