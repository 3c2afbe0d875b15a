"""Where does a database come from in which many monitors have been checked for days?

Rows are made by PostgreSQL itself, the same for the same numbers. Heartbeats look like those of
HTTPS monitors in good order: latencies by monitor, one in a hundred far above the rest, a little of
every status, some slots without a heartbeat.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from uptimeo.storage.database import Connection

_HOUR = timedelta(hours=1)

_CONFIGURE = """
WITH s AS (
    INSERT INTO schedules (name, interval) VALUES ('history', %(interval_s)s) RETURNING id)
INSERT INTO api_monitors (name, type, url, schedule_id)
SELECT 'history ' || n, 'HTTPS', 'https://shop.example/' || n, s.id
FROM s, generate_series(1, %(monitors)s) n
"""
_DATACENTERS = """
INSERT INTO datacenters (code, name)
SELECT 'H' || n, 'History ' || n
FROM generate_series((SELECT count(*) FROM datacenters) + 1, %(datacenters)s) n
"""
# The last term goes on, its lease held for a day.
_LEADERS = """
WITH d AS (SELECT id FROM datacenters ORDER BY id LIMIT %(datacenters)s),
lease AS (
    INSERT INTO agent_leases (datacenter_id, term, holder, holder_name, expires_at)
    SELECT id, 1, gen_random_uuid(), 'history', clock_timestamp() + interval '1 day' FROM d
    RETURNING datacenter_id, holder)
INSERT INTO agent_terms (datacenter_id, term, holder, holder_name, started_at)
SELECT datacenter_id, 1, holder, 'history', %(start)s FROM lease
"""
_HEARTBEATS = """
INSERT INTO api_heartbeats (
    scheduled_at, executed_at, term, monitor_id, datacenter_id, response_time_ms, dns_lookup_ms,
    tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms, transfer_ms, redirect_ms,
    time_to_first_byte_ms, queue_ms, response_size_bytes, response_status_code, success, status,
    http_version, error_type)
SELECT slot, (slot + interval '2 ms') AT TIME ZONE 'UTC', 1, m.id, d.id,
       base * 1.7, base * 0.2, base * 0.3, base * 0.4, 0.1, base * 0.6, base * 0.1, 0,
       base * 1.5, 2, 5120, CASE WHEN luck >= 3 THEN 200 END,
       CASE WHEN luck = 0 THEN NULL ELSE luck >= 3 END,
       coalesce((ARRAY['unknown', 'down', 'down', 'degraded', 'critical'])[luck + 1], 'up'), '2',
       CASE WHEN luck < 3 THEN 'connect_timeout' END
FROM generate_series(%(since)s, %(until)s - interval '1 us', %(interval_s)s * interval '1 s') tick
CROSS JOIN (SELECT id FROM datacenters ORDER BY id LIMIT %(datacenters)s) d
CROSS JOIN api_monitors m
CROSS JOIN LATERAL (
    SELECT tick
               + (m.id * 7919 + d.id * 104729) %% (%(interval_s)s * 1000) * interval '1 ms' AS slot,
           hashint8extended(extract(epoch FROM tick)::bigint * 65536 + m.id * 16 + d.id, 0) AS h) x
CROSS JOIN LATERAL (
    SELECT (abs(h %% 2000))::int AS luck,
           -- The sum of three draws is near enough to a normal distribution.
           20 * (1 + m.id %% 10) * exp(
               (abs(h / 2000 %% 1000) + abs(h / 2000000 %% 1000)
                + abs(h / 2000000000 %% 1000)) / 1500.0 - 1
               + CASE WHEN abs(h / 104729 %% 100) = 0 THEN 2 ELSE 0 END) AS base) y
WHERE m.name LIKE 'history %%' AND abs(h / 7919 %% 1000) > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is to be there: monitors that run everywhere, from `start` to `end` (whole hours)."""

    start: datetime
    end: datetime
    monitors: int = 1000
    datacenters: int = 3
    interval_s: int = 30


async def configure(connection: Connection, history: History) -> None:
    """Make monitors, datacenters and leaders, as if they had been there since the start."""
    values = _values(history)
    for statement in (_DATACENTERS, _CONFIGURE, _LEADERS):
        await connection.execute(statement.encode(), values)
    await connection.execute("DELETE FROM monitor_duty WHERE since = '-infinity'")
    await connection.execute("UPDATE monitor_duty SET since = '-infinity'")


async def fill(connection: Connection, history: History, *, marked: bool) -> int:
    """Insert the heartbeats, an hour at a time; answers with their number.

    Not `marked`: without the trigger that marks buckets, so that the roller finds what it has not
    yet visited.
    """
    switch = "ENABLE" if marked else "DISABLE"
    await connection.execute(f"ALTER TABLE heartbeats {switch} TRIGGER mark_dirty".encode())
    hour, count = history.start, 0
    while hour < history.end:
        await connection.execute("SELECT partition_for('heartbeats', %s)", (hour,))
        window = {"since": hour, "until": min(hour + _HOUR, history.end)}
        cursor = await connection.execute(_HEARTBEATS.encode(), _values(history) | window)
        count += cursor.rowcount
        hour += _HOUR
    await connection.execute("ALTER TABLE heartbeats ENABLE TRIGGER mark_dirty")
    return count


def _values(history: History) -> dict[str, object]:
    return {
        "start": history.start,
        "monitors": history.monitors,
        "datacenters": history.datacenters,
        "interval_s": history.interval_s,
    }
