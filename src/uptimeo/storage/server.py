"""How is the server that holds the tables, and who are we to it? Questions that change nothing.

Each raises as `uptimeo.storage.questions.ask` does.
"""

import time
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict

from uptimeo.storage import definitions
from uptimeo.storage.database import Connection
from uptimeo.storage.questions import ask, asked_one

_SAMPLES = 5
_TIME = "SELECT extract(epoch FROM clock_timestamp())::float8 AS number"
_TLS = """
SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl
"""
_HAS_SCHEMA = """
SELECT to_regclass('alembic_version') IS NOT NULL AND to_regclass('schema_definitions') IS NOT NULL
    AS found
"""
_SCHEMA = """
SELECT (SELECT version_num FROM alembic_version) AS revision,
       (SELECT digest FROM schema_definitions) AS digest
"""
_ROLE = """
SELECT session_user::text AS name, r.rolsuper AS superuser,
       pg_has_role(session_user, c.relowner, 'USAGE') AS owner,
       has_function_privilege('lease_release(int, uuid, bigint)', 'EXECUTE') AS agent
FROM pg_roles r JOIN pg_class c ON c.oid = to_regclass('api_monitors')
WHERE r.rolname = session_user
"""
_OWN = "SELECT agent_datacenter() AS number"
# Heartbeats and what is made of them: all that grows.
_VACUUM = """
SELECT current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AS runs,
       current_setting('autovacuum_freeze_max_age')::bigint AS freeze_at,
       (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database())
           AS database_age,
       t.oldest, coalesce(t.age, 0) AS table_age, t.without
FROM (SELECT (array_agg(c.relname::text ORDER BY age(c.relfrozenxid) DESC))[1] AS oldest,
             max(age(c.relfrozenxid)) AS age,
             (array_agg(c.relname::text) FILTER (
                 WHERE 'autovacuum_enabled=false' = ANY (c.reloptions)))[1] AS without
      FROM partition_plans p JOIN pg_inherits i ON i.inhparent = to_regclass(quote_ident(p.parent))
      JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r') t
"""
# Of the sessions of others, only some roles see what they do.
_HOLDING = """
SELECT pid, coalesce(usename::text, '?') AS role, coalesce(application_name, '') AS program,
       coalesce(state, '?') AS state,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS for_s
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
  AND xact_start < clock_timestamp() - interval '30 minutes'
UNION ALL
SELECT 0, owner::text, gid, 'prepared', extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - interval '30 minutes'
ORDER BY for_s DESC LIMIT 10
"""
_SEES_OTHERS = "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS found"
_SLOTS = """
SELECT slot_name::text AS name, active, coalesce(wal_status, '?') AS wal_status,
       coalesce(greatest(age(xmin), age(catalog_xmin)), 0) AS xid_age,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS kept_bytes
FROM pg_replication_slots ORDER BY slot_name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How we are connected. `sslmode` is what the string says, libpq's default without."""

    host: str | None
    version_number: int
    version: str
    encrypted: bool
    tls: str | None
    sslmode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """How far the server's clock is ahead of this host's, in s, give or take `uncertain_s`."""

    offset_s: float
    uncertain_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFound:
    """Which tables, functions and views are there; None: none of ours."""

    revision: str | None
    digest: str | None
    expected_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFound:
    """Who logged in, and as what; `datacenter` is that of an agent's role."""

    name: str
    superuser: bool
    owner: bool
    agent: bool
    datacenter: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuuming:
    """How old the oldest transaction id is that is not frozen; `without`: a table switched off."""

    runs: bool
    freeze_at: int
    database_age: int
    oldest: str | None
    table_age: int
    without: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTransaction:
    """One that keeps vacuum from its work; `pid` 0: it is prepared, and has no session."""

    pid: int
    role: str
    program: str
    state: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTransactions:
    """Those that were seen; `complete` unless those of other roles are hidden."""

    found: tuple[LongTransaction, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A replication slot; it keeps write-ahead log, and rows from being removed.

    `xid_age` says for how many transactions it has kept rows; 0: it keeps none.
    """

    name: str
    active: bool
    wal_status: str
    xid_age: int
    kept_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    number: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flag:
    found: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tls:
    version: str
    cipher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schema:
    revision: str | None
    digest: str | None


async def link(connection: Connection, conninfo: str) -> Link:
    """What is between us and whoever answers; behind a pooler that is the pooler."""
    rows = await ask(connection, _TLS, _Tls)
    info = connection.info
    given = str(conninfo_to_dict(conninfo).get("sslmode") or info.get_parameters().get("sslmode"))
    return Link(
        host=info.hostaddr or info.host or None,
        version_number=info.server_version,
        version=(info.parameter_status("server_version") or "?").partition(" ")[0],
        encrypted=bool(connection.pgconn.ssl_in_use),
        tls=f"{rows[0].version}, {rows[0].cipher}" if rows else None,
        sslmode=given if given != "None" else "prefer",
    )


async def clock(connection: Connection) -> ClockReading:
    """The offset by the fastest of a few questions, which waited least on the way."""
    samples = []
    for _ in range(_SAMPLES):
        before, started = time.time(), time.perf_counter()
        answer = await asked_one(connection, _TIME, _Number)
        trip = time.perf_counter() - started
        assert answer.number is not None
        samples.append((trip, answer.number - before - trip / 2))
    trip, offset = min(samples)
    return ClockReading(offset_s=offset, uncertain_s=trip / 2)


async def schema(connection: Connection) -> SchemaFound:
    """What is in the database, and the digest of this release's definitions."""
    expected = definitions.digest()
    if not (await asked_one(connection, _HAS_SCHEMA, _Flag)).found:
        return SchemaFound(revision=None, digest=None, expected_digest=expected)
    found = await asked_one(connection, _SCHEMA, _Schema)
    return SchemaFound(revision=found.revision, digest=found.digest, expected_digest=expected)


async def role(connection: Connection) -> RoleFound:
    """Who we are."""
    found = await asked_one(connection, _ROLE, RoleFound)
    if not found.agent:
        return found
    own = (await asked_one(connection, _OWN, _Number)).number
    return RoleFound(
        name=found.name,
        superuser=found.superuser,
        owner=found.owner,
        agent=True,
        datacenter=None if own is None else int(own),
    )


async def vacuuming(connection: Connection) -> Vacuuming:
    """Whether old rows are frozen in time."""
    return await asked_one(connection, _VACUUM, Vacuuming)


async def long_transactions(connection: Connection) -> LongTransactions:
    """Transactions older than half an hour."""
    found = await ask(connection, _HOLDING, LongTransaction)
    complete = (await asked_one(connection, _SEES_OTHERS, _Flag)).found
    return LongTransactions(found=tuple(found), complete=complete)


async def slots(connection: Connection) -> list[Slot]:
    """Every replication slot of the server."""
    return await ask(connection, _SLOTS, Slot)
