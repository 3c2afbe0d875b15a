"""How does a test make heartbeats for the rollups, and roll them up?"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from uptimeo.storage.database import Connection, one

# The last whole hour but one: closed, and in a partition that is there.
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
FIVE = timedelta(minutes=5)

_INSERT = """
INSERT INTO heartbeats
SELECT packed.* FROM unnest(%(slots)s::timestamptz[]) slot
CROSS JOIN LATERAL jsonb_populate_record(NULL::api_heartbeats, jsonb_build_object(
    'id', nextval('api_heartbeats_id_seq'), 'monitor_id', %(monitor)s::int,
    'datacenter_id', %(place)s::int, 'scheduled_at', slot,
    'executed_at', slot AT TIME ZONE 'UTC', 'attempts', 1, 'status', %(status)s::text,
    'success', %(status)s NOT IN ('down', 'unknown'), 'response_time_ms', %(ms)s::real,
    'wait_ms', %(ms)s::real / 2, 'details', %(details)s::jsonb)) heartbeat
CROSS JOIN LATERAL heartbeat_packed(heartbeat) packed
ON CONFLICT DO NOTHING
"""


async def led_since(connection: Connection, since: datetime, place: int = 1) -> None:
    """A leader from then on, whose lease is held."""
    await connection.execute(
        "INSERT INTO agent_leases (datacenter_id, term, holder, expires_at)"
        " VALUES (%s, 1, gen_random_uuid(), 'infinity')",
        (place,),
    )
    await connection.execute(
        "INSERT INTO agent_terms (datacenter_id, term, holder, started_at)"
        " SELECT datacenter_id, term, holder, %s FROM agent_leases WHERE datacenter_id = %s",
        (since, place),
    )


async def add_monitor(connection: Connection, interval_s: int = 60) -> int:
    """A monitor that runs everywhere, and always has."""
    schedule = await one(
        connection,
        "INSERT INTO schedules (name, interval) VALUES (gen_random_uuid(), %s) RETURNING id",
        (interval_s,),
    )
    monitor = await one(
        connection,
        "INSERT INTO api_monitors (name, url, schedule_id) VALUES ('m', 'http://h/', %s)"
        " RETURNING id",
        (schedule,),
    )
    await connection.execute("DELETE FROM monitor_duty WHERE since = '-infinity'")
    await connection.execute("UPDATE monitor_duty SET since = '-infinity'")
    return int(monitor)


async def insert(
    connection: Connection, monitor: int, slots: Sequence[datetime], **fields: Any
) -> None:
    """Heartbeats of these slots, in one statement; those that are there stay."""
    given = {"place": 1, "status": "up", "ms": 100.0, "details": None} | fields
    values = given | {"monitor": monitor, "slots": list(slots)}
    await connection.execute(_INSERT.encode(), values)


def every(seconds: float, count: int, start: datetime = HOUR) -> list[datetime]:
    """So many slots from the start on."""
    return [start + n * timedelta(seconds=seconds) for n in range(count)]


async def roll(connection: Connection, limit: int = 1000) -> int:
    """Work off all that waits for the roller; answers with the number of buckets."""
    total = 0
    for level in (5, 60, 1440):
        while rolled := int(await one(connection, f"SELECT rollup_step({level}, {limit})")):
            total += rolled
    return total


async def differences(connection: Connection) -> list[tuple[Any, ...]]:
    """Where raw and rolled disagree in the hours since HOUR."""
    cursor = await connection.execute(
        "SELECT * FROM rollup_differences(%s, now())", (HOUR - timedelta(days=1),)
    )
    return await cursor.fetchall()


async def figures(
    connection: Connection, monitor: int, columns: str, bucket: datetime = HOUR, level: str = "5m"
) -> tuple[Any, ...] | None:
    """Some columns of a row of the rollups of datacenter 1."""
    cursor = await connection.execute(
        f"SELECT {columns} FROM heartbeats_{level} WHERE monitor_id = %s AND datacenter_id = 1"
        " AND bucket = %s",
        (monitor, bucket),
    )
    return await cursor.fetchone()
