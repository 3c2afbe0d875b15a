"""Where does a database come from in which many monitors have been checked for days?

Rows are made by PostgreSQL itself, the same for the same numbers. Heartbeats look like those of
HTTPS monitors in good order: latencies by monitor, one in a hundred far above the rest, a little of
every status, some slots without a heartbeat. They go into the table below the view, packed.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from uptimeo.storage.database import Connection, connect

_DAY = timedelta(days=1)
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
_PARTITION = "SELECT partition_for('heartbeats', %s)"
_MONITORS = "SELECT id FROM api_monitors WHERE name LIKE 'history %' ORDER BY id"
# The roller finds what it has not yet visited, without the marks that triggers leave.
_NO_TRIGGERS = "SET session_replication_role = replica"
# Those of a check that says nothing, one that failed and one that succeeded, of each series.
_TRAITS = """
INSERT INTO heartbeat_traits (
    last_used, term, agent_id, response_status_code, warning_threshold_ms, critical_threshold_ms,
    attempts, success, http_version, error_type, resolved_ip, response_content_type,
    response_server, digest)
SELECT %(end)s, term, agent, code, warning, critical, attempts, success, version, error, address,
       content, server, heartbeat_digest(term, agent, code, warning, critical, attempts, success,
           version, NULL, error, address, content, server, NULL)
FROM (
    SELECT 1 AS term, d.id AS agent, inet '203.0.112.0' + m.id AS address,
           1000 AS warning, 3000 AS critical, 1::smallint AS attempts, kind.*
    FROM api_monitors m
    CROSS JOIN (SELECT id FROM datacenters ORDER BY id LIMIT %(datacenters)s) d
    CROSS JOIN (VALUES
        (NULL::boolean, NULL::int, NULL, 'agent_stalled', NULL, NULL),
        (false, NULL, NULL, 'connect_timeout', NULL, NULL),
        (true, 200, '2', NULL, 'application/json; charset=utf-8', 'nginx/1.26.2')
    ) kind (success, code, version, error, content, server)
    WHERE m.name LIKE 'history %%') x
"""
_HEARTBEATS = """
INSERT INTO heartbeats (
    scheduled_at, late_ms, monitor_id, traits_id, response_size_bytes, response_time_ms,
    dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms, time_to_first_byte_ms,
    datacenter_id, status)
SELECT slot, 2, monitor, traits[least(luck, 2) + 1], 5120, base * 1.7,
       base * 0.2, base * 0.3, base * 0.4, 0.1, base * 0.6, base * 1.5,
       place, (CASE WHEN luck > 3 THEN 'u' ELSE (ARRAY['?', 'd', 's', 'c'])[luck + 1] END)::"char"
FROM generate_series(%(since)s, %(until)s - interval '1 us', %(interval_s)s * interval '1 s') tick
CROSS JOIN LATERAL (SELECT extract(epoch FROM tick)::bigint * 65536 AS beat OFFSET 0) t
CROSS JOIN (
    SELECT m.id AS monitor, d.id AS place, 20 * (1 + m.id %% 10)::float8 AS about,
           (m.id * 7919 + d.id * 104729) %% (%(interval_s)s * 1000) * interval '1 ms' AS phase,
           array_agg(t.id ORDER BY t.success NULLS FIRST) AS traits
    FROM api_monitors m
    CROSS JOIN (SELECT id FROM datacenters ORDER BY id LIMIT %(datacenters)s) d
    JOIN heartbeat_traits t ON t.agent_id = d.id AND t.resolved_ip = inet '203.0.112.0' + m.id
    WHERE m.name LIKE 'history %%' GROUP BY m.id, d.id ORDER BY phase) series
CROSS JOIN LATERAL (
    SELECT tick + phase AS slot, hashint8extended(beat + monitor * 16 + place, 0) AS h OFFSET 0) x
CROSS JOIN LATERAL (
    SELECT (abs(h %% 2000))::int AS luck,
           -- The sum of three draws is near enough to a normal distribution.
           about * exp((abs(h / 2000 %% 1000) + abs(h / 2000000 %% 1000)
                        + abs(h / 2000000000 %% 1000)) / 1500.0::float8 - 1
                       + CASE WHEN abs(h / 104729 %% 100) = 0 THEN 2 ELSE 0 END) AS base OFFSET 0) y
WHERE abs(h / 7919 %% 1000) > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is to be there: monitors that run everywhere, from `start` to `end`."""

    start: datetime
    end: datetime
    monitors: int = 1000
    datacenters: int = 3
    interval_s: int = 30


async def configure(connection: Connection, history: History) -> list[int]:
    """Make monitors, datacenters and leaders, as if there since the start; the monitors' ids."""
    values = _values(history)
    for statement in (_DATACENTERS, _CONFIGURE, _LEADERS, _TRAITS):
        await connection.execute(statement.encode(), values)
    await connection.execute("DELETE FROM monitor_duty WHERE since = '-infinity'")
    await connection.execute("UPDATE monitor_duty SET since = '-infinity'")
    return [number for (number,) in await (await connection.execute(_MONITORS)).fetchall()]


async def fill(conninfo: str, history: History, *, connections: int = 1) -> int:
    """Insert the heartbeats, each connection a day at a time; answers with their number.

    Nothing marks their buckets.
    """
    days = list(_days(history))

    async def some() -> int:
        count = 0
        async with await quiet(conninfo) as connection:
            while days:
                since, until = days.pop(0)
                await connection.execute(_PARTITION, (since,))
                values = _values(history) | {"since": since, "until": until}
                count += (await connection.execute(_HEARTBEATS.encode(), values)).rowcount
        return count

    return sum(await asyncio.gather(*(some() for _ in range(connections))))


async def quiet(conninfo: str) -> Connection:
    """A connection that no trigger hears of."""
    connection = await connect(conninfo)
    await connection.execute(_NO_TRIGGERS)
    return connection


def _days(history: History) -> Iterator[tuple[datetime, datetime]]:
    since = history.start
    while since < history.end:
        until = min(since.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY, history.end)
        yield since, until
        since = until


def _values(history: History) -> dict[str, object]:
    return {
        "start": history.start,
        "end": history.end,
        "monitors": history.monitors,
        "datacenters": history.datacenters,
        "interval_s": history.interval_s,
    }
