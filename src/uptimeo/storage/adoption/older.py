"""What is there of an installation of the older kind, and can it be adopted?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from uptimeo.domain.errors import FatalError

Driver = psycopg.Connection[Any]

# What installations have had since before this project; parents before children.
CONFIG: Mapping[str, str] = {
    "regions": "id name region_code group_name",
    "datacenters": "id code name region_id",
    "agents": "id name datacenter_id",
    "schedules": "id name interval include_response_body thresholds_warning thresholds_critical",
    "api_monitors": "id name method type url schedule_id headers body",
    "datacenter_monitors": "datacenter_id monitor_id",
}
HEARTBEATS = (
    "id monitor_id agent_id executed_at success response_time_ms response_size_bytes"
    " response_status_code response_content_type response_server response_cache_status"
    " dns_lookup_ms tcp_connect_ms tls_handshake_ms time_to_first_byte_ms warning_threshold_ms"
    " critical_threshold_ms error_type error_message raw_request_headers raw_response_headers"
    " raw_response_body"
)
CONTRACT: Mapping[str, str] = {**CONFIG, "api_heartbeats": HEARTBEATS}

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END
FROM pg_class h
JOIN pg_class c ON c.relnamespace = h.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE h.oid = to_regclass('api_heartbeats') AND c.relkind IN ('r', 'p') AND c.relname = ANY (%s)
ORDER BY c.relname, a.attnum
"""
_PLACE = """
SELECT n.nspname, pg_get_userbyid(h.relowner), current_schema(), current_setting('search_path')
FROM pg_class h JOIN pg_namespace n ON n.oid = h.relnamespace
WHERE h.oid = to_regclass('api_heartbeats')
"""
# An index that finds a heartbeat by its id and tells any two apart.
_HAS_KEY = """
SELECT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = to_regclass('api_heartbeats')
    AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (SELECT array_agg(a.attname::text ORDER BY k.n)
         FROM unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY k (attnum, n)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
        IN (ARRAY['id'], ARRAY['id', 'executed_at']))
"""
_TOO_FAR = "SELECT {column} FROM {table} WHERE {column} NOT BETWEEN 0 AND 32767 LIMIT 1"
_NUMBERS = "give it a number from 0 to 32767: heartbeats have two bytes for it"
# What hangs on the older tables and cannot be carried over by itself.
_HINDRANCES = """
WITH t AS (
    SELECT c.oid, c.relname FROM pg_class c
    WHERE c.relnamespace = quote_ident(%(schema)s)::regnamespace AND c.relname = ANY (%(tables)s)
)
SELECT format('the trigger %%s on %%s', g.tgname, t.relname) FROM t
JOIN pg_trigger g ON g.tgrelid = t.oid
WHERE NOT g.tgisinternal AND g.tgname NOT LIKE 'uptimeo_adoption%%'
UNION ALL
SELECT format('the row-level security of %%s', t.relname) FROM t JOIN pg_class c USING (oid)
WHERE c.relrowsecurity
UNION ALL
SELECT format('the rule %%s on %%s', r.rulename, t.relname) FROM t
JOIN pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT format('%%s in the publication %%s', t.relname, p.pubname) FROM t
JOIN pg_publication_rel r ON r.prrelid = t.oid JOIN pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT format('the function %%s, which is bound to %%s', p.oid::regprocedure, t.relname) FROM t
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
    AND d.classid = 'pg_proc'::regclass
JOIN pg_proc p ON p.oid = d.objid
UNION ALL
SELECT format('the foreign key %%s of %%s to api_heartbeats', k.conname, k.conrelid::regclass)
FROM t JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = t.oid
WHERE t.relname = 'api_heartbeats'
UNION ALL
SELECT format('the materialized view %%s', c.oid::regclass) FROM t
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'm'
ORDER BY 1
"""
_RIGHTS = """
SELECT pg_has_role(session_user, %(owner)s, 'SET'),
       has_schema_privilege(%(owner)s, %(schema)s, 'CREATE'),
       has_database_privilege(%(owner)s, current_database(), 'CREATE'),
       (SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class c
        WHERE c.relnamespace = quote_ident(%(schema)s)::regnamespace
          AND c.relname = ANY (%(tables)s) AND pg_get_userbyid(c.relowner) <> %(owner)s),
       current_database()
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One of an older table: its type and default as SQL."""

    type: str
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """The older tables: where they stand, whose they are, which columns they have."""

    schema: str
    owner: str
    path: str
    tables: Mapping[str, Mapping[str, Column]]

    def beyond(self, table: str) -> Mapping[str, Column]:
        """The columns that are not of the contract; they are kept."""
        known = CONTRACT[table].split()
        return {name: c for name, c in self.tables[table].items() if name not in known}


def find(driver: Driver) -> Older | None:
    """The older tables on the path of this session, None without an api_heartbeats.

    Raises FatalError, with what to do, if they cannot be adopted by this user.
    """
    place = driver.execute(_PLACE).fetchone()
    if place is None:
        return None
    schema, owner, current, path = place
    if schema != current:
        raise _refusal(
            f"it is in the schema {schema}, and the first schema of the search_path is {current}",
            f"connect with options=-csearch_path={schema}",
        )
    tables: dict[str, dict[str, Column]] = {name: {} for name in CONTRACT}
    for table, name, kind, default in driver.execute(_COLUMNS, (list(CONTRACT),)):
        tables[table][name] = Column(kind, default)
    found = Older(schema=schema, owner=owner, path=path, tables=tables)
    _refuse_unknown(found)
    _refuse_rights(driver, found)
    _refuse_hindrances(driver, found)
    return found


def _refuse_unknown(older: Older) -> None:
    for table, columns in CONTRACT.items():
        if not older.tables[table]:
            raise _refusal(f"there is no table {table} beside it", "add it, if only an empty one")
        missing = [name for name in columns.split() if name not in older.tables[table]]
        if missing:
            raise _refusal(f"{table} has no column {', '.join(missing)}", "add what is missing")


def _refuse_rights(driver: Driver, older: Older) -> None:
    given = {"owner": older.owner, "schema": older.schema, "tables": list(CONTRACT)}
    row = driver.execute(_RIGHTS, given).fetchone()
    assert row is not None
    is_owner, may_in_schema, may_in_database, others, name = row
    if not is_owner:
        raise _refusal("this user does not own it", f"migrate as {older.owner}, its owner")
    if others:
        raise _refusal(
            f"{older.owner} owns it, but not {others}", "give all of the older tables one owner"
        )
    if not may_in_schema:
        raise _refusal(
            f"{older.owner} may not create tables in the schema {older.schema}",
            f"GRANT CREATE ON SCHEMA {older.schema} TO {older.owner}",
        )
    if not may_in_database:
        raise _refusal(
            f"{older.owner} may not create schemas in the database",
            f"GRANT CREATE ON DATABASE {name} TO {older.owner}",
        )


def _refuse_hindrances(driver: Driver, older: Older) -> None:
    if not driver.execute(_HAS_KEY).fetchone()[0]:  # type: ignore[index]
        raise _refusal(
            "it has no unique index that begins with id, on (id) or (id, executed_at)",
            "CREATE UNIQUE INDEX CONCURRENTLY ON api_heartbeats (id, executed_at)",
        )
    for table in ("regions", "datacenters", "agents", "schedules", "api_monitors"):
        twice = f"SELECT id FROM {table} GROUP BY id HAVING id IS NULL OR count(*) > 1 LIMIT 1"
        if row := driver.execute(twice.encode()).fetchone():
            raise _refusal(f"{table} has the id {row[0]} more than once", "give one another id")
    for table, column in (
        ("datacenters", "id"),
        ("agents", "datacenter_id"),
        ("datacenter_monitors", "datacenter_id"),
    ):
        beyond = _TOO_FAR.format(table=table, column=column)
        if row := driver.execute(beyond.encode()).fetchone():
            raise _refusal(f"{table} has the datacenter {row[0]}", _NUMBERS)
    given = {"schema": older.schema, "tables": list(CONTRACT)}
    found = [text for (text,) in driver.execute(_HINDRANCES, given)]
    if found:
        raise _refusal(
            f"these would not come along: {'; '.join(found)}",
            "drop them and create them again afterwards",
        )


def _refusal(reason: str, advice: str) -> FatalError:
    return FatalError(
        f"the database has an api_heartbeats table that UptimeO did not make and cannot adopt:"
        f" {reason}; {advice}"
    )
