"""How do the staged tables take the place of the older ones, within a moment?"""

from datetime import datetime

import psycopg
from psycopg import errors, sql

from uptimeo.domain.errors import FatalError
from uptimeo.storage.adoption import history, staging
from uptimeo.storage.adoption.older import CONFIG, CONTRACT, Driver, Older
from uptimeo.storage.adoption.progress import Progress, Say, patiently

_SERIAL = ("api_heartbeats", *(name for name in CONFIG if name != "datacenter_monitors"))
_PARTITIONS = "SELECT uptimeo_staging.partitions_ensure('heartbeats')"
_LOCK = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"
# Nobody but autovacuum uses the staged tables. It gives way after a second, with no writer waiting.
_UNHURRIED = "SET LOCAL lock_timeout = '10s'"
_HURRIED = "SET LOCAL lock_timeout = '100ms'"
# With the heartbeats locked, writers wait.
_AT_ONCE = "SET LOCAL lock_timeout = '20ms'"
_VIEWS = """
SELECT v.name, v.statement, array_agg(r.r) FILTER (WHERE r.r IS NOT NULL)
FROM uptimeo_older.views_on(%(schema)s::name) v
LEFT JOIN LATERAL (
    SELECT uptimeo_older.rights_of(v.oid, v.name) AS r
    UNION ALL SELECT format('ALTER VIEW %%s OWNER TO %%I', v.name, pg_get_userbyid(c.relowner))
    FROM pg_class c WHERE c.oid = v.oid
    UNION ALL SELECT format('COMMENT ON VIEW %%s IS %%L', v.name, d.description)
    FROM pg_description d
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = v.oid AND d.objsubid = 0) r ON true
GROUP BY v.depth, v.name, v.statement ORDER BY v.depth, v.name
"""
_REFERENCES = "SELECT child, name, statement FROM uptimeo_older.references_to(%(schema)s::name)"
_RIGHTS = """
SELECT uptimeo_older.rights_of(format('%%I.%%I', %(schema)s::text, t)::regclass,
                               format('%%I.%%I', %(schema)s::text, t))
FROM unnest(%(tables)s::text[]) t
UNION ALL
SELECT uptimeo_older.rights_of(s::regclass, format('%%I.%%I', %(schema)s::text, t || '_id_seq'))
FROM unnest(%(serial)s::text[]) t
CROSS JOIN LATERAL coalesce(
    pg_get_serial_sequence(format('%%I.%%I', %(schema)s::text, t), 'id'),
    to_regclass(format('%%I.%%I', %(schema)s::text, t || '_id_seq'))::text) s
WHERE s IS NOT NULL
"""
# An id that the older sequence gave away stays given, also if its row is gone.
_SEQUENCES = """
SELECT setval(%(new)s::regclass, v.top) FROM (
    SELECT greatest((SELECT max(id) FROM {table}), pg_sequence_last_value(coalesce(
        pg_get_serial_sequence(%(name)s, 'id'), to_regclass(%(seq)s)::text)::regclass)) AS top) v
WHERE v.top >= 1
"""
# In this order: what sums up is kept at least as long as its source.
_KEPT = ("heartbeats_1h", "heartbeats_5m", "heartbeats")
_KEEP_ALL = """
UPDATE uptimeo_staging.partition_plans SET keep_days = NULL
WHERE parent = %s AND (SELECT total > 0 FROM uptimeo_older.adoption)
"""
_DONE = """
UPDATE uptimeo_older.adoption SET cut_over_at = clock_timestamp(), stall = clock_timestamp() - %s
"""
_UNWATCH = """
DROP TRIGGER uptimeo_adoption ON {table};
DROP TRIGGER uptimeo_adoption_truncate ON {table};
"""
# The older rows that are not among ours: by id and time, since an id alone need not tell two apart.
_MISSING = """
SELECT (SELECT count(*) FROM uptimeo_older.api_heartbeats), count(*)
FROM uptimeo_older.converted_api_heartbeats o
WHERE NOT EXISTS (
    SELECT FROM api_heartbeats h WHERE h.id = o.id AND h.executed_at = o.executed_at
    AND h.success IS NOT DISTINCT FROM o.success AND h.monitor_id = o.monitor_id)
"""


def rehearse(driver: Driver, older: Older, say: Say) -> None:
    """Whether what hangs on the older tables can be taken off and made anew; changes nothing.

    Raises FatalError that names what cannot.
    """
    patiently(driver, older.schema, lambda: _try_views(driver, older), say)


def _try_views(driver: Driver, older: Older) -> None:
    name = "views"
    try:
        with driver.transaction(force_rollback=True):
            views = _views(driver, older)
            _take_off(driver, older, views)
            schema = sql.Identifier(older.schema)
            driver.execute(sql.SQL("SET LOCAL search_path = uptimeo_staging, {}").format(schema))
            for name, statement, _ in views:
                # Where it goes is of no matter here, only what it reads.
                staged = statement.replace(name, f"uptimeo_staging.{name.rpartition('.')[2]}", 1)
                driver.execute(staged.encode())
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        raise
    except psycopg.Error as error:
        raise FatalError(
            f"cannot adopt: {name} cannot be made on the new tables"
            f" ({error.diag.message_primary}): drop or change what is in the way, then run"
            " `uptimeo migrate` again"
        ) from error


def cut_over(driver: Driver, older: Older, say: Say) -> None:
    """Swap the tables in one transaction: readers and writers wait for it, and see all or nothing.

    Waits for locks a tenth of a second at a time, so that a long query is neither ended nor in
    the way of the writers for long.
    """
    say(Progress("cutting over"))
    driver.execute(_PARTITIONS)
    patiently(driver, older.schema, lambda: _swap(driver, older), say)


def verify(driver: Driver) -> int:
    """How many older heartbeats there are, every one found among ours; FatalError if one is not."""
    row = driver.execute(_MISSING).fetchone()
    assert row is not None
    total, missing = row
    if missing:
        raise FatalError(
            f"{missing} of {total} older heartbeats are not in api_heartbeats: compare it with"
            " uptimeo_older.api_heartbeats, and keep that until you know why"
        )
    driver.execute("UPDATE uptimeo_older.adoption SET verified_at = clock_timestamp()")
    return int(total)


def _swap(driver: Driver, older: Older) -> None:
    locked_at = _lock(driver, older)
    given = {"schema": older.schema, "tables": list(CONTRACT), "serial": list(_SERIAL)}
    rights = [text for (text,) in driver.execute(_RIGHTS, given)]
    views = _views(driver, older)
    # What may still have to wait for a lock comes first.
    again = _take_off(driver, older, views)
    history.catch_up_wholly(driver)
    staging.sync_config(driver)
    _set_sequences(driver, older)
    for parent in _KEPT:
        driver.execute(_KEEP_ALL, (parent,))
    table = sql.Identifier(older.schema, "api_heartbeats")
    driver.execute(sql.SQL(_UNWATCH).format(table=table))
    driver.execute("SELECT uptimeo_older.move_out(%s)", (older.schema,))
    driver.execute("SELECT uptimeo_older.move_in(%s)", (older.schema,))
    for _, statement, after in views:
        again += [statement, *(after or ())]
    for statement in again + rights:
        driver.execute(statement.encode())
    driver.execute(_DONE, (locked_at,))


def _lock(driver: Driver, older: Older) -> datetime:
    """Lock the staged and the older tables; the time since which writers have been waiting."""
    config = sql.SQL(", ").join(sql.Identifier(older.schema, table) for table in CONFIG)
    staged = sql.SQL(", ").join(sql.Identifier("uptimeo_staging", table) for table in CONTRACT)
    driver.execute(_UNHURRIED)
    driver.execute(sql.SQL(_LOCK).format(staged))
    driver.execute(_HURRIED)
    row = driver.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    # Heartbeats first: who inserts one may read a monitor for it, never the other way round.
    heartbeats = sql.Identifier(older.schema, "api_heartbeats")
    driver.execute(sql.SQL(_LOCK).format(heartbeats))
    driver.execute(_AT_ONCE)
    driver.execute(sql.SQL(_LOCK).format(config))
    at: datetime = row[0]
    return at


def _views(driver: Driver, older: Older) -> list[tuple[str, str, list[str] | None]]:
    return driver.execute(_VIEWS, {"schema": older.schema}).fetchall()


def _take_off(
    driver: Driver, older: Older, views: list[tuple[str, str, list[str] | None]]
) -> list[str]:
    """Drop the views and foreign keys on the older tables; what makes the latter anew."""
    references = driver.execute(_REFERENCES, {"schema": older.schema}).fetchall()
    for name, _, _ in reversed(views):
        driver.execute(f"DROP VIEW {name}".encode())
    for child, name, _ in references:
        drop = sql.SQL(" DROP CONSTRAINT {}").format(sql.Identifier(name)).as_string()
        driver.execute(f"ALTER TABLE {child}{drop}".encode())
    return [statement for _, _, statement in references]


def _set_sequences(driver: Driver, older: Older) -> None:
    for table in _SERIAL:
        identifier = sql.Identifier(older.schema, table)
        given = {
            "new": f"uptimeo_staging.{table}_id_seq",
            "name": identifier.as_string(),
            "seq": sql.Identifier(older.schema, f"{table}_id_seq").as_string(),
        }
        driver.execute(sql.SQL(_SEQUENCES).format(table=identifier), given)
