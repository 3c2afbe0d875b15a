"""How is the installation, as its tables tell it? Questions that change nothing.

Each raises as `uptimeo.storage.questions.ask` does.
"""

from dataclasses import dataclass
from datetime import datetime

from uptimeo.domain.partition import Hold
from uptimeo.storage.database import Connection
from uptimeo.storage.partitions import HELD
from uptimeo.storage.questions import ask, asked_one

# A datacenter where an agent ever led or runs; 0 is the whole installation.
_LEADERS = """
SELECT coalesce(d.code, 'maintenance') AS datacenter, l.datacenter_id, l.holder_name AS leader,
       l.term, extract(epoch FROM l.expires_at - clock_timestamp())::float8 AS left_s
FROM agent_leases l LEFT JOIN datacenters d ON d.id = l.datacenter_id ORDER BY l.datacenter_id
"""
_AGENTS = """
SELECT d.code AS datacenter, a.name, a.datacenter_id,
       extract(epoch FROM clock_timestamp() - i.last_seen)::float8 AS silent_s,
       extract(epoch FROM clock_timestamp() - i.started_at)::float8 AS runs_s,
       i.version, i.spool_rows AS waiting, i.dropped, i.peers_heard,
       i.peer_address IS NOT NULL AS can_be_asked
FROM agent_instances i JOIN agents a ON a.id = i.agent_id
JOIN datacenters d ON d.id = a.datacenter_id ORDER BY d.id, a.name
"""
_OVERLAPS = "SELECT count(*) AS number FROM leadership_overlaps WHERE counted"
_DAYS_AHEAD = """
SELECT parent, partition_days_ahead(parent) AS days_ahead FROM partition_plans ORDER BY parent
"""
# Somebody who reads without end, or a view on a partition, keeps retention from its work.
_OVERDUE = """
SELECT b.partition AS name
FROM partition_plans p CROSS JOIN LATERAL partition_bounds(p.parent) b
WHERE b.hi < clock_timestamp() - make_interval(hours => 24 * (p.keep_days + 2)) ORDER BY 1
"""
# A table that was taken out of its parent by hand: nobody but a person knows what it is for.
_DETACHED = """
SELECT c.relname AS name
FROM partition_plans p JOIN pg_class c ON c.relname ~ ('^(api_)?' || p.parent || '_[0-9]{8}$')
WHERE c.relkind = 'r' AND NOT c.relispartition
  AND c.oid = to_regclass(quote_ident(c.relname)) ORDER BY 1
"""
# How late the roller is where it is latest.
_ROLLUPS = """
SELECT extract(epoch FROM clock_timestamp() - min(rolled_until))::float8 AS behind_s,
       (SELECT count(*) FROM rollup_dirty d WHERE d.level = 5 AND d.bucket < min(p.rolled_until))
           AS marked
FROM rollup_progress p WHERE level = 5
"""
# Five minutes of an hour ago, and the hour they are in if it is whole: little work, and enough.
_DIFFERENCES = """
SELECT level, datacenter_id, bucket, monitor_id, what, raw, rolled
FROM rollup_differences(now() - interval '60 minutes', now() - interval '50 minutes') LIMIT 1000
"""
_SET_ASIDE = """
SELECT coalesce(datacenter, datacenter_id::text, '?') AS datacenter, kind,
       sum(rows)::bigint AS number, max(last_received) AS last_at
FROM set_aside_heartbeats GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 20
"""
_UNUSUAL = """
SELECT coalesce(datacenter, datacenter_id::text, '?') AS datacenter, kind,
       sum(rows)::bigint AS number, max(last_at) AS last_at
FROM unusual_heartbeats WHERE kind NOT LIKE 'set aside%' AND last_at > now() - interval '7 days'
GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 20
"""
_BAD_ROWS = """
SELECT m.id, m.name, e.reason FROM monitor_config_errors e
JOIN api_monitors m ON m.id = e.monitor_id WHERE m.enabled ORDER BY m.id
"""
_RECEIVERS = """
SELECT count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '15 seconds') AS listening,
       (SELECT count(*) FROM api_monitors WHERE enabled AND upper(type) = 'PUSH') AS monitors
FROM push_receiving
"""
_MIGHTY = """
SELECT * FROM (
    SELECT d.role_name AS name, concat_ws(', ', CASE WHEN r.rolsuper THEN 'is a superuser' END,
        CASE WHEN r.rolbypassrls THEN 'bypasses row-level security' END,
        CASE WHEN r.rolcreaterole THEN 'may make roles' END,
        CASE WHEN pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT r.rolsuper
            THEN 'has the rights of the owner of the tables' END) AS rights
    FROM database_roles d JOIN pg_roles r ON r.rolname = d.role_name
    JOIN pg_class c ON c.oid = to_regclass('api_monitors')) x
WHERE rights <> '' ORDER BY name
"""
_ASSIGNED = """
SELECT lower(m.type) AS type, count(*) AS number FROM api_monitors m
WHERE m.enabled AND (
    NOT EXISTS (SELECT FROM datacenter_monitors d WHERE d.monitor_id = m.id)
    OR EXISTS (SELECT FROM datacenter_monitors d
               WHERE d.monitor_id = m.id AND d.datacenter_id = %(datacenter)s))
GROUP BY 1 ORDER BY 1
"""
_DATACENTERS = "SELECT id, code FROM datacenters ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """A lease; `left_s` below 0: it ran out that long ago. `leader` None: it was given back."""

    datacenter: str
    datacenter_id: int
    leader: str | None
    term: int
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """An agent as it reported itself last."""

    datacenter: str
    name: str
    datacenter_id: int
    silent_s: float
    runs_s: float
    version: str
    waiting: int
    dropped: int
    peers_heard: int | None
    can_be_asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysAhead:
    """For how many whole days after today a table has room; -1: not even today."""

    parent: str
    days_ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupLag:
    """How late the roller is; `behind_s` None: nothing was ever to be rolled up."""

    behind_s: float | None
    marked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongFigure:
    """A figure of a bucket that is not what its heartbeats say."""

    level: int
    datacenter_id: int
    bucket: datetime
    monitor_id: int
    what: str
    raw: str | None
    rolled: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OddHeartbeats:
    """So many rows of one kind."""

    datacenter: str
    kind: str
    number: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A monitor whose row an agent could not use."""

    id: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """How many receivers listen, for how many monitors of jobs."""

    listening: int
    monitors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MightyRole:
    """A role of ours that may do more than `uptimeo db roles` gave it."""

    name: str
    rights: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """How many enabled monitors of one type run in the datacenter."""

    type: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Datacenter:
    """One that is in the table."""

    id: int
    code: str


async def leaders(connection: Connection) -> list[Leadership]:
    """Every lease, that of maintenance (datacenter 0) first."""
    return await ask(connection, _LEADERS, Leadership)


async def agents(connection: Connection) -> list[AgentSeen]:
    """Every agent that has not stopped in order."""
    return await ask(connection, _AGENTS, AgentSeen)


async def counted_overlaps(connection: Connection) -> int:
    """How many heartbeats count though they ran after their term; must be none."""
    return (await asked_one(connection, _OVERLAPS, _Number)).number


async def days_ahead(connection: Connection) -> list[DaysAhead]:
    """Every table that is cut by time."""
    return await ask(connection, _DAYS_AHEAD, DaysAhead)


async def overdue(connection: Connection) -> list[str]:
    """Partitions that retention should have dropped two days ago."""
    return [row.name for row in await ask(connection, _OVERDUE, _Name)]


async def retention(connection: Connection) -> Hold | None:
    """Why nothing is dropped; None if it is."""
    return next(iter(await ask(connection, HELD, Hold)), None)


async def detached(connection: Connection) -> list[str]:
    """Tables that once were partitions."""
    return [row.name for row in await ask(connection, _DETACHED, _Name)]


async def rollup_lag(connection: Connection) -> RollupLag:
    """How late the roller is."""
    return await asked_one(connection, _ROLLUPS, RollupLag)


async def wrong_figures(connection: Connection) -> list[WrongFigure]:
    """Where raw and rolled disagree, in a small sample."""
    return await ask(connection, _DIFFERENCES, WrongFigure)


async def set_aside(connection: Connection) -> list[OddHeartbeats]:
    """What was set aside and not deleted since, the latest first."""
    return await ask(connection, _SET_ASIDE, OddHeartbeats)


async def unusual(connection: Connection) -> list[OddHeartbeats]:
    """What was stored in the last week though it was not due, the latest first."""
    return await ask(connection, _UNUSUAL, OddHeartbeats)


async def bad_rows(connection: Connection) -> list[BadRow]:
    """Enabled monitors whose rows agents could not use."""
    return await ask(connection, _BAD_ROWS, BadRow)


async def receiving(connection: Connection) -> Receiving:
    """Who listens for signals, and for how many monitors."""
    return await asked_one(connection, _RECEIVERS, Receiving)


async def mighty_roles(connection: Connection) -> list[MightyRole]:
    """Roles of ours with rights that they should not have."""
    return await ask(connection, _MIGHTY, MightyRole)


async def assigned(connection: Connection, datacenter: int) -> list[Assigned]:
    """The enabled monitors of a datacenter by type."""
    return await ask(connection, _ASSIGNED, Assigned, {"datacenter": datacenter})


async def datacenters(connection: Connection) -> list[Datacenter]:
    """Every datacenter by id."""
    return await ask(connection, _DATACENTERS, Datacenter)
