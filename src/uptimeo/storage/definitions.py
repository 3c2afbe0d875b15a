"""The functions, views and rights of this release: what do they say, are they in the database?

Tables come by migrations, once. Functions and views are replaced whole at every migrate, so that
each stands in one file, as it is; then the rights are given anew, if there are roles.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from uptimeo.storage.database import Connection, one
from uptimeo.storage.patience import patiently

_FOLDER = Path(__file__).parent / "migrations" / "definitions"
_FOUND = "SELECT digest FROM schema_definitions"
_TABLE = "SELECT to_regclass('schema_definitions') IS NOT NULL"
_PINNED = """
SELECT set_config('search_path', string_agg(quote_ident(s), ', ' ORDER BY n) || ', pg_temp', true)
FROM unnest(current_schemas(false)) WITH ORDINALITY x (s, n)
"""
# PostgreSQL lets everybody call a new function.
_OURS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.proname = ANY (%s)
"""
# A restored dump may name roles that its new server does not have.
_GROUPS = """
SELECT d.kind, d.role_name FROM database_roles d JOIN pg_roles r ON r.rolname = d.role_name
WHERE d.kind <> 'agent'
"""
_KINDS_OF_GROUPS = 4
# Takes the lock of the view, and of it alone, before those of the tables below: the order of who
# reads and writes through it.
_LOCK = """
DO $$ BEGIN
    IF to_regclass('api_heartbeats') IS NOT NULL THEN
        ALTER VIEW api_heartbeats ALTER id SET DEFAULT nextval('api_heartbeats_id_seq');
    END IF;
END $$
"""
# The server looks for deadlocks later than that, so that it is never somebody else who fails.
_LOCK_TIMEOUT_MS = 500
_WAITING = "waiting for the sessions that read or write heartbeats to end what they do"
_DIGEST = """
INSERT INTO schema_definitions (digest) VALUES (%s)
ON CONFLICT (one_row) DO UPDATE SET digest = excluded.digest, applied_at = clock_timestamp()
"""


@cache
def texts() -> tuple[str, ...]:
    """The SQL of all functions, then of all views, each kind in the order of its files' names."""
    kinds = (_FOLDER / kind for kind in ("functions", "views"))
    return tuple(file.read_text("utf-8") for kind in kinds for file in sorted(kind.glob("*.sql")))


@cache
def access() -> sql.SQL:
    """The SQL that gives the roles their rights; their names stand in braces, by kind."""
    return sql.SQL((_FOLDER / "access.sql").read_text("utf-8"))


def functions() -> list[str]:
    """The names of all functions."""
    return sorted(set(re.findall(r"CREATE OR REPLACE FUNCTION (\w+)", "\n".join(texts()))))


def digest() -> str:
    """What tells one release's definitions from another's."""
    return sha256("\0".join([*texts(), access().as_string(None)]).encode()).hexdigest()


async def are_applied(connection: Connection) -> bool:
    """Whether the database has those of this release; raises errors of psycopg."""
    return bool(await one(connection, _TABLE)) and await one(connection, _FOUND) == digest()


def apply(driver: psycopg.Connection[Any], tell: Callable[[str], None] | None = None) -> None:
    """Replace all of them, in one transaction; raises errors of psycopg.

    Waits for its locks, and nobody for it longer than half a second at a time; `tell` hears of it.
    The connection is in autocommit mode.
    """
    patiently(
        driver,
        lambda: _apply(driver),
        lock_timeout_ms=_LOCK_TIMEOUT_MS,
        tell=lambda: tell(_WAITING) if tell else None,
    )


def _apply(driver: psycopg.Connection[Any]) -> None:
    # A function may call one of a later file.
    driver.execute("SET LOCAL check_function_bodies = off")
    # Functions keep this path: nobody's temporary table stands before ours.
    driver.execute(_PINNED)
    driver.execute(_LOCK)
    for text in texts():
        driver.execute(text.encode())
    for (function,) in driver.execute(_OURS, (functions(),)).fetchall():
        driver.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC".encode())
    groups = dict(driver.execute(_GROUPS).fetchall())
    if len(groups) == _KINDS_OF_GROUPS:
        driver.execute(granting(groups))
    driver.execute(_DIGEST, (digest(),))


def granting(groups: Mapping[str, str]) -> sql.Composed:
    """What gives the rights to these groups: kind to name."""
    return access().format(**{kind: sql.Identifier(name) for kind, name in groups.items()})
