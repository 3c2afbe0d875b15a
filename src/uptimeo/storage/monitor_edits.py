"""How do people and the demo change the config rows?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from uptimeo.domain.errors import FatalError
from uptimeo.storage.database import Connection, one, our_errors
from uptimeo.storage.monitors import COLUMNS, MonitorRow

_ALL = f"{COLUMNS} ORDER BY m.id"
_ONE = f"{COLUMNS} WHERE m.id = %s"
_LOCKED = f"{_ONE} FOR UPDATE OF m"
_OWN_TIMEOUT = "SELECT timeout_ms FROM api_monitors WHERE id = %s"
_WHERE_IT_RUNS = """
SELECT x.monitor_id, array_agg(d.code ORDER BY d.id)
FROM datacenter_monitors x JOIN datacenters d ON d.id = x.datacenter_id GROUP BY x.monitor_id
"""
_WHERE_ONE_RUNS = """
SELECT array_agg(d.code ORDER BY d.id)
FROM datacenter_monitors x JOIN datacenters d ON d.id = x.datacenter_id WHERE x.monitor_id = %s
"""
_SCHEDULE_LIKE = """
SELECT id FROM schedules
WHERE interval = %(interval_s)s AND thresholds_warning IS NOT DISTINCT FROM %(warning_ms)s
  AND thresholds_critical IS NOT DISTINCT FROM %(critical_ms)s
  AND include_response_body = %(keep_body)s AND timeout_ms IS NULL
ORDER BY id LIMIT 1
"""
_ADD_SCHEDULE = """
INSERT INTO schedules
    (name, interval, thresholds_warning, thresholds_critical, include_response_body)
VALUES (%(name)s, %(interval_s)s, %(warning_ms)s, %(critical_ms)s, %(keep_body)s)
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
"""
_SCHEDULE_NAMED = "SELECT id FROM schedules WHERE name = %s"
_SCHEDULE_NAMES = "SELECT string_agg(name, ', ' ORDER BY id) FROM schedules"
_ADD = """
INSERT INTO api_monitors
    (name, type, method, url, headers, body, options, timeout_ms, schedule_id, retries,
     retry_delay_ms)
VALUES (%(name)s, %(type)s, %(method)s, %(url)s, %(headers)s, %(body)s, %(options)s,
        %(timeout_ms)s, %(schedule_id)s, %(retries)s, %(retry_delay_ms)s)
RETURNING id
"""
_UPDATE = """
UPDATE api_monitors
SET type = %(type)s, method = %(method)s, url = %(url)s, headers = %(headers)s, body = %(body)s,
    options = %(options)s, timeout_ms = %(timeout_ms)s, schedule_id = %(schedule_id)s,
    retries = %(retries)s, retry_delay_ms = %(retry_delay_ms)s, enabled = true
WHERE name = %(name)s
"""
_CHANGE = """
UPDATE api_monitors
SET name = %(name)s, type = %(type)s, method = %(method)s, url = %(url)s, headers = %(headers)s,
    body = %(body)s, options = %(options)s, timeout_ms = %(timeout_ms)s,
    schedule_id = %(schedule_id)s, retries = %(retries)s, retry_delay_ms = %(retry_delay_ms)s
WHERE id = %(id)s
"""
_UNASSIGN = "DELETE FROM datacenter_monitors WHERE monitor_id = %s"
_ASSIGN = """
INSERT INTO datacenter_monitors (datacenter_id, monitor_id)
SELECT id, %(monitor)s FROM datacenters WHERE code = ANY(%(codes)s) RETURNING 1
"""
_ENABLE = "UPDATE api_monitors SET enabled = %s WHERE id = %s RETURNING name"
_REMOVE = "DELETE FROM api_monitors WHERE id = %s RETURNING name"
_DISABLE_NAMED = "UPDATE api_monitors SET enabled = false WHERE enabled AND name LIKE %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule by its contents; without a name it is found or named after them."""

    interval_s: int
    warning_ms: int | None = None
    critical_ms: int | None = None
    keep_body: bool = False
    name: str | None = None

    def own_name(self) -> str:
        """A name that says what it is, for people who read the table."""
        limits = [f"{ms} ms" for ms in (self.warning_ms, self.critical_ms) if ms is not None]
        parts = [f"every {self.interval_s} s", *limits, *(["with body"] if self.keep_body else [])]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMonitor:
    """A row of `api_monitors` to be; `datacenters` are codes, none means everywhere."""

    name: str
    type: str
    url: str
    schedule: NewSchedule | str
    method: str = "GET"
    headers: dict[str, str] | None = None
    body: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    timeout_ms: int | None = None
    retries: int = 0
    retry_delay_ms: int = 0
    datacenters: tuple[str, ...] = ()

    def as_row(self) -> MonitorRow:
        """The row as an agent would read it, to be validated before it is saved."""
        schedule = self.schedule if isinstance(self.schedule, NewSchedule) else None
        return MonitorRow(
            id=0,
            name=self.name,
            type=self.type,
            method=self.method,
            url=self.url,
            headers=self.headers,
            body=self.body,
            options=self.options,
            enabled=True,
            timeout_ms=self.timeout_ms,
            schedule="" if schedule is None else schedule.own_name(),
            interval_s=60 if schedule is None else schedule.interval_s,
            warning_ms=None if schedule is None else schedule.warning_ms,
            critical_ms=None if schedule is None else schedule.critical_ms,
            keep_body=False,
            retries=self.retries,
            retry_delay_ms=self.retry_delay_ms,
        )


async def all_monitors(connection: Connection) -> list[tuple[MonitorRow, tuple[str, ...]]]:
    """Every row, enabled or not, with the codes of its datacenters (none: everywhere)."""
    with our_errors():
        cursor = connection.cursor(row_factory=class_row(MonitorRow))
        rows = await (await cursor.execute(_ALL.encode())).fetchall()
        pairs = await (await connection.execute(_WHERE_IT_RUNS)).fetchall()
        assigned: dict[int, list[str]] = dict(pairs)
    return [(row, tuple(assigned.get(row.id, ()))) for row in rows]


async def monitor_row(
    connection: Connection, monitor: int
) -> tuple[MonitorRow, tuple[str, ...]] | None:
    """The row of that id, as `all_monitors` has it; None if there is no such id."""
    with our_errors():
        row = await _row(connection, _ONE, monitor)
        return None if row is None else (row, await _codes(connection, monitor))


async def edit_monitor(
    connection: Connection,
    monitor: int,
    revise: Callable[[MonitorRow, tuple[str, ...]], NewMonitor],
) -> NewMonitor | None:
    """Make of the row what `revise` says of it and its datacenters; None if there is no such id.

    The row that it gets has the monitor's own timeout, not that of its schedule. What it raises
    leaves everything as it was.
    """
    with our_errors():
        async with connection.transaction():
            row = await _row(connection, _LOCKED, monitor)
            if row is None:
                return None
            codes = await _codes(connection, monitor)
            own = await one(connection, _OWN_TIMEOUT, (monitor,))
            new = revise(replace(row, timeout_ms=own), codes)
            if isinstance(new.schedule, NewSchedule) and own is new.timeout_ms is None:
                # Its schedule's timeout does not come along to one that is found by its contents.
                new = replace(new, timeout_ms=row.timeout_ms)
            schedule_id = await _schedule_id(connection, new.schedule)
            await connection.execute(_CHANGE, _values(new, schedule_id) | {"id": monitor})
            if set(new.datacenters) != set(codes):
                await connection.execute(_UNASSIGN, (monitor,))
                await _assign(connection, monitor, new.datacenters)
            return new


async def add_monitor(connection: Connection, new: NewMonitor) -> int:
    """Save a new row and answer with its id; FatalError names an unknown schedule or code."""
    with our_errors():
        async with connection.transaction():
            schedule_id = await _schedule_id(connection, new.schedule)
            monitor = int(await one(connection, _ADD, _values(new, schedule_id)))
            await _assign(connection, monitor, new.datacenters)
            return monitor


async def put_monitor(connection: Connection, new: NewMonitor) -> None:
    """Save a row under its name: changed in place if there is one, so that its history stays."""
    with our_errors():
        async with connection.transaction():
            schedule_id = await _schedule_id(connection, new.schedule)
            values = _values(new, schedule_id)
            if (await connection.execute(_UPDATE, values)).rowcount == 0:
                await connection.execute(_ADD, values)


async def enable_monitor(connection: Connection, monitor: int, *, enabled: bool) -> str | None:
    """Switch a monitor on or off; answers with its name, None if there is no such id."""
    with our_errors():
        return await one(connection, _ENABLE, (enabled, monitor))  # type: ignore[no-any-return]


async def remove_monitor(connection: Connection, monitor: int) -> str | None:
    """Delete a monitor's row; its heartbeats stay. Answers as `enable_monitor` does."""
    with our_errors():
        return await one(connection, _REMOVE, (monitor,))  # type: ignore[no-any-return]


async def disable_named(connection: Connection, prefix: str) -> int:
    """Switch off every monitor whose name begins so; answers with how many were on."""
    with our_errors():
        return (await connection.execute(_DISABLE_NAMED, (f"{prefix}%",))).rowcount


async def _row(connection: Connection, query: str, monitor: int) -> MonitorRow | None:
    cursor = connection.cursor(row_factory=class_row(MonitorRow))
    return await (await cursor.execute(query.encode(), (monitor,))).fetchone()


async def _codes(connection: Connection, monitor: int) -> tuple[str, ...]:
    return tuple(await one(connection, _WHERE_ONE_RUNS, (monitor,)) or ())


async def _schedule_id(connection: Connection, schedule: NewSchedule | str) -> int:
    if isinstance(schedule, str):
        found = await one(connection, _SCHEDULE_NAMED, (schedule,))
        if found is None:
            known = await one(connection, _SCHEDULE_NAMES) or "none yet"
            raise FatalError(f"there is no schedule {schedule!r}; there are: {known}")
        return int(found)
    values = {
        "interval_s": schedule.interval_s,
        "warning_ms": schedule.warning_ms,
        "critical_ms": schedule.critical_ms,
        "keep_body": schedule.keep_body,
        "name": schedule.name or schedule.own_name(),
    }
    if schedule.name is None and (found := await one(connection, _SCHEDULE_LIKE, values)):
        return int(found)
    return int(await one(connection, _ADD_SCHEDULE, values))


async def _assign(connection: Connection, monitor: int, codes: Sequence[str]) -> None:
    if not codes:
        return
    cursor = await connection.execute(_ASSIGN, {"monitor": monitor, "codes": list(codes)})
    if cursor.rowcount != len(set(codes)):
        known = await one(connection, "SELECT string_agg(code, ', ' ORDER BY id) FROM datacenters")
        raise FatalError(f"unknown datacenter in {', '.join(codes)}; there are: {known}")


def _values(new: NewMonitor, schedule_id: int) -> dict[str, Any]:
    return {
        "name": new.name,
        "type": new.type,
        "method": new.method,
        "url": new.url,
        "headers": None if new.headers is None else Jsonb(new.headers),
        "body": None if new.body is None else Jsonb(new.body),
        "options": Jsonb(new.options),
        "timeout_ms": new.timeout_ms,
        "schedule_id": schedule_id,
        "retries": new.retries,
        "retry_delay_ms": new.retry_delay_ms,
    }
