"""What can be examined from the side of the database?"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from uptimeo.domain.errors import UptimeoError
from uptimeo.storage.changes import ChangeNotices
from uptimeo.storage.database import Connection, one, our_errors
from uptimeo.storage.partitions import states
from uptimeo.storage.rollups import differences

_MIN_DAYS_AHEAD = 3
_MAX_OFFSET_S = 1.0
_SILENT_S = 30
_SAMPLES = 5

# Somebody who reads without end, or a view on a partition, keeps retention from its work.
_OVERDUE = """
SELECT string_agg(b.partition, ', ' ORDER BY b.partition)
FROM partition_plans p CROSS JOIN LATERAL partition_bounds(p.parent) b
WHERE b.hi < clock_timestamp() - make_interval(hours => 24 * (p.keep_days + 2))
"""
# A table that was taken out of its parent by hand: nobody but a person knows what it is for.
_DETACHED = """
SELECT string_agg(c.relname, ', ' ORDER BY c.relname)
FROM partition_plans p JOIN pg_class c ON c.relname ~ ('^' || p.parent || '_[0-9]{8}$')
WHERE c.relkind = 'r' AND NOT c.relispartition
  AND c.oid = to_regclass(quote_ident(c.relname))
"""
_MAINTAINER = """
SELECT holder_name, expires_at > clock_timestamp() - interval '1 minute'
FROM agent_leases WHERE datacenter_id = 0 AND holder IS NOT NULL
"""
# Long enough to have taken the lease over.
_AGENTS = """
SELECT count(*) FROM agent_instances WHERE last_seen > clock_timestamp() - interval '30 s'
  AND started_at < clock_timestamp() - interval '2 minutes'
"""
_SET_ASIDE = """
SELECT datacenter_id, reason, count(*), max(received_at) FROM api_heartbeats_set_aside
GROUP BY 1, 2 ORDER BY 4 DESC
"""
_BAD_ROWS = """
SELECT m.id, m.name, e.reason FROM monitor_config_errors e
JOIN api_monitors m ON m.id = e.monitor_id WHERE m.enabled ORDER BY m.id
"""
_COUNTED_OVERLAPS = "SELECT count(*) FROM leadership_overlaps WHERE counted"
_INSTANCES = """
SELECT d.code, a.name, extract(epoch FROM clock_timestamp() - i.last_seen)::int AS silent_s,
       i.spool_rows, i.dropped
FROM agent_instances i JOIN agents a ON a.id = i.agent_id
JOIN datacenters d ON d.id = a.datacenter_id ORDER BY d.id, a.name
"""
# Only those that run now, and say where they can be asked, can be expected to hear each other.
_UNHEARD = """
SELECT d.code, a.name, i.peers_heard, i.others FROM (
    SELECT *, count(*) OVER (PARTITION BY datacenter_id) - 1 AS others
    FROM agent_instances JOIN agents ON id = agent_id
    WHERE last_seen > clock_timestamp() - interval '30 s' AND peer_address IS NOT NULL
      AND started_at < clock_timestamp() - interval '30 s') i
JOIN agents a ON a.id = i.agent_id JOIN datacenters d ON d.id = a.datacenter_id
WHERE i.peers_heard < i.others ORDER BY d.id, a.name
"""
_LEADERLESS = """
SELECT string_agg(d.code, ', ' ORDER BY d.id) FROM datacenters d
JOIN agent_leases l ON l.datacenter_id = d.id
WHERE (l.holder IS NULL OR l.expires_at < clock_timestamp() - interval '10 s')
  AND EXISTS (SELECT FROM agent_instances i JOIN agents a ON a.id = i.agent_id
              WHERE a.datacenter_id = d.id)
"""
_RECEIVERS = """
SELECT count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '15 seconds'),
       (SELECT count(*) FROM api_monitors WHERE enabled AND upper(type) = 'PUSH')
FROM push_receiving
"""


# How late the roller is where it is latest. One is late when its run has been missed a few times.
_ROLLUPS = """
SELECT extract(epoch FROM clock_timestamp() - min(rolled_until))::int,
       (SELECT count(*) FROM rollup_dirty d WHERE d.level = 5 AND d.bucket < min(p.rolled_until))
FROM rollup_progress p WHERE level = 5
"""
_ROLLED_LATE_S = 1800

_MIGHTY = """
SELECT * FROM (
    SELECT d.role_name, concat_ws(', ', CASE WHEN r.rolsuper THEN 'is a superuser' END,
        CASE WHEN r.rolbypassrls THEN 'bypasses row-level security' END,
        CASE WHEN r.rolcreaterole THEN 'may make roles' END,
        CASE WHEN pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT r.rolsuper
            THEN 'has the rights of the owner of the tables' END) AS rights
    FROM database_roles d JOIN pg_roles r ON r.rolname = d.role_name
    JOIN pg_class c ON c.oid = to_regclass('api_monitors')) x
WHERE rights <> '' ORDER BY role_name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One examination: what it was about, what came of it, and if need be what to do."""

    subject: str
    good: bool
    text: str
    advice: str = ""


async def examine(connection: Connection, conninfo: str) -> list[Finding]:
    """Every examination, in the order in which a person would ask."""
    with our_errors():
        return [
            await _clock(connection),
            await _notices(conninfo),
            await _partitions(connection),
            await _maintenance(connection),
            await _overlaps(connection),
            await _leaders(connection),
            *await _instances(connection),
            *await _unheard(connection),
            *await _rollups(connection),
            *await _receivers(connection),
            *await _overdue(connection),
            *await _detached(connection),
            *await _mighty(connection),
            *await _bad_rows(connection),
            *await _set_aside(connection),
        ]


async def _clock(connection: Connection) -> Finding:
    """The offset of the fastest of a few questions, which waited least on the way."""
    samples = []
    for _ in range(_SAMPLES):
        before, started = time.time(), time.perf_counter()
        server = await one(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
        trip = time.perf_counter() - started
        samples.append((trip, float(server) - before - trip / 2))
    trip, offset = min(samples)
    side = "behind" if offset > 0 else "ahead of"
    text = f"this host is {abs(offset) * 1000:.0f} ms {side} the database"
    advice = (
        "" if abs(offset) < _MAX_OFFSET_S else "run NTP on both; agents use the database's clock"
    )
    return Finding(
        subject="clock",
        good=not advice,
        text=f"{text}, round trip {trip * 1000:.1f} ms",
        advice=advice,
    )


async def _notices(conninfo: str) -> Finding:
    notices = ChangeNotices(conninfo)
    try:
        await notices.listen()
    except UptimeoError as error:
        return Finding(subject="notifications", good=False, text=f"cannot be tried: {error}")
    finally:
        await notices.aclose()
    if notices.work:
        return Finding(subject="notifications", good=True, text="arrive")
    advice = "a transaction pooler swallows them: agents poll; connect directly to be faster"
    return Finding(subject="notifications", good=False, text="do not arrive", advice=advice)


async def _partitions(connection: Connection) -> Finding:
    short = [s for s in await states(connection) if s.days_ahead < _MIN_DAYS_AHEAD]
    if not short:
        text = f"every table has room for {_MIN_DAYS_AHEAD} days after today and more"
        return Finding(subject="partitions", good=True, text=text)
    told = (f"{s.parent} for {max(0, s.days_ahead)} days after today" for s in short)
    advice = "the agent that maintains makes them; see chore_failed in its log"
    return Finding(
        subject="partitions", good=False, text=f"ready only: {', '.join(told)}", advice=advice
    )


async def _maintenance(connection: Connection) -> Finding:
    row = await (await connection.execute(_MAINTAINER)).fetchone()
    if row is not None and row[1]:
        return Finding(subject="maintenance", good=True, text=f"done by {row[0]}")
    if not await one(connection, _AGENTS):
        return Finding(subject="maintenance", good=True, text="waits for an agent to run")
    advice = "any agent takes it within a minute; look at their logs"
    return Finding(subject="maintenance", good=False, text="nobody does it", advice=advice)


async def _overdue(connection: Connection) -> list[Finding]:
    names = await one(connection, _OVERDUE)
    if names is None:
        return []
    advice = (
        "see retention_delayed and chore_failed in the logs, and xact_start in pg_stat_activity"
    )
    text = f"too old and still there: {names}"
    return [Finding(subject="retention", good=False, text=text, advice=advice)]


async def _detached(connection: Connection) -> list[Finding]:
    names = await one(connection, _DETACHED)
    if names is None:
        return []
    advice = "retention leaves them alone: attach or DROP them"
    text = f"not attached: {names}"
    return [Finding(subject="detached partitions", good=False, text=text, advice=advice)]


async def _overlaps(connection: Connection) -> Finding:
    counted = int(await one(connection, _COUNTED_OVERLAPS))
    text = "no heartbeat was counted after its term" if not counted else f"{counted} were counted"
    advice = "" if not counted else "SELECT * FROM leadership_overlaps WHERE counted; report it"
    return Finding(subject="leadership", good=not counted, text=text, advice=advice)


async def _leaders(connection: Connection) -> Finding:
    missing = await one(connection, _LEADERLESS)
    if missing is None:
        return Finding(subject="leaders", good=True, text="every datacenter with agents has one")
    advice = "look at the logs of their agents"
    return Finding(subject="leaders", good=False, text=f"nobody leads in {missing}", advice=advice)


async def _instances(connection: Connection) -> list[Finding]:
    rows = await (await connection.execute(_INSTANCES)).fetchall()
    return [
        Finding(
            subject=f"agent {code} {name}",
            good=silent < _SILENT_S and not dropped,
            text=f"seen {silent} s ago, {waiting} heartbeats wait, {dropped} dropped",
            advice="" if silent < _SILENT_S else "it is stopped, or cut off from the database",
        )
        for code, name, silent, waiting, dropped in rows
    ]


async def _unheard(connection: Connection) -> list[Finding]:
    rows = await (await connection.execute(_UNHEARD)).fetchall()
    advice = (
        "let them reach each other over UDP; UPTIMEO_PEER_LISTEN=host:port sets where."
        " Otherwise a leader cut off from the database goes on while another takes over"
    )
    return [
        Finding(
            subject=f"peers of {code} {name}",
            good=False,
            text=f"{heard} of {others} other agents of its datacenter answer it",
            advice=advice,
        )
        for code, name, heard, others in rows
    ]


async def _receivers(connection: Connection) -> list[Finding]:
    """Nothing to say where no job is awaited."""
    row = await (await connection.execute(_RECEIVERS)).fetchone()
    listening, monitors = row or (0, 0)
    if not monitors:
        return []
    advice = "" if listening else "start `uptimeo receive`; until then these monitors are unknown"
    text = f"{listening} take signals for {monitors} push monitors"
    return [Finding(subject="receivers", good=bool(listening), text=text, advice=advice)]


async def _rollups(connection: Connection) -> list[Finding]:
    """Nothing to say before there is a leader or a heartbeat.

    Raw against rolled is looked at in five minutes of an hour ago: enough to see a fault, and
    little work.
    """
    row = await (await connection.execute(_ROLLUPS)).fetchone()
    behind, again = row or (None, 0)
    if behind is None:
        return []
    late = behind > _ROLLED_LATE_S
    sample = datetime.now(UTC) - timedelta(hours=1)
    wrong = await differences(connection, sample, sample + timedelta(minutes=10), limit=1000)
    text = f"{behind} s behind, {again} buckets to be rolled up again"
    advice = "agents roll up; see rollups_behind in their logs" if late else ""
    if wrong:
        first = wrong[0]
        text = (
            f"{len(wrong)} figures differ: {first.what} of monitor {first.monitor}, bucket"
            f" {first.bucket.astimezone(UTC):%Y-%m-%d %H:%M}Z, is {first.rolled}, not {first.raw}"
        )
        advice = "SELECT * FROM rollup_differences(now() - interval '2 hours', now()); report it"
    return [Finding(subject="rollups", good=not (late or wrong), text=text, advice=advice)]


async def _bad_rows(connection: Connection) -> list[Finding]:
    rows = await (await connection.execute(_BAD_ROWS)).fetchall()
    advice = "correct the row; agents notice"
    return [
        Finding(subject=f"monitor {key} ({name})", good=False, text=reason, advice=advice)
        for key, name, reason in rows
    ]


async def _mighty(connection: Connection) -> list[Finding]:
    """Roles that may do more than `uptimeo db roles` gave them."""
    rows = await (await connection.execute(_MIGHTY)).fetchall()
    advice = "take that from it: ALTER ROLE or REVOKE; see docs/roles.md"
    return [
        Finding(subject=f"role {name}", good=False, text=rights, advice=advice)
        for name, rights in rows
    ]


async def _set_aside(connection: Connection) -> list[Finding]:
    rows = await (await connection.execute(_SET_ASIDE)).fetchall()
    advice = (
        "SELECT * FROM api_heartbeats_set_aside; delete what was looked at; it goes after 90 days"
    )
    return [
        Finding(
            subject=f"set aside, datacenter {datacenter}",
            good=False,
            text=f"{count} heartbeats, last {last.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z: {reason}",
            advice=advice,
        )
        for datacenter, reason, count, last in rows
    ]
