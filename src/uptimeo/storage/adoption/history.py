"""How do the heartbeats of the older table get into the staged one, while both are in use?"""

from psycopg import sql

from uptimeo.storage.adoption.older import Driver, Older
from uptimeo.storage.adoption.progress import Progress, Say, patiently
from uptimeo.storage.adoption.staging import run_file

_BATCH = 20_000
# So few changes are left for the moment in which writers wait.
_ENOUGH = 500
_ROUNDS = 50
_TEMPORARY = """
SET client_min_messages = warning;
CREATE TEMPORARY TABLE IF NOT EXISTS adoption_batch (LIKE uptimeo_staging.api_heartbeats);
CREATE TEMPORARY TABLE IF NOT EXISTS adoption_ties (LIKE uptimeo_staging.api_heartbeats);
CREATE TEMPORARY TABLE IF NOT EXISTS adoption_digests
    (id bigint, executed_at timestamp, digest bytea);
CREATE TEMPORARY TABLE IF NOT EXISTS adoption_changes
    (id bigint, executed_at timestamp, is_new boolean);
"""
# From here on every change is noted, also one that is replicated: those who wrote before have ended
# when the lock is had.
_WATCH = """
CREATE OR REPLACE TRIGGER uptimeo_adoption AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION uptimeo_older.note_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER uptimeo_adoption;
CREATE OR REPLACE TRIGGER uptimeo_adoption_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION uptimeo_older.note_change();
"""
_BEGIN = """
UPDATE uptimeo_older.adoption
SET (last_id, upto, total) = (SELECT max(id), min(id) - 1, count(*) FROM {table})
"""
_HAS_BEGUN = "SELECT last_id IS NOT NULL FROM uptimeo_older.adoption"
_STANDING = "SELECT copied, total FROM uptimeo_older.adoption"
_WAITING = "SELECT count(*) FROM uptimeo_older.changes"


def copy(driver: Driver, older: Older, say: Say) -> None:
    """Copy all there is, then what was written meanwhile until little is left.

    Each step is a transaction; after a kill the next call goes on where the last commit was.
    """
    run_file(driver, "copying.sql")
    driver.execute(_TEMPORARY)
    # A step that a power cut takes back is made again: its note goes with it.
    driver.execute("SET synchronous_commit = off")
    _begin(driver, older, say)
    while not _value(driver, f"SELECT uptimeo_older.copy_next({_BATCH})"):
        done, total = driver.execute(_STANDING).fetchone()  # type: ignore[misc]
        say(Progress("copying heartbeats", done, total))
    _catch_up(driver, say)
    say(Progress("gathering statistics"))
    driver.execute("ANALYZE uptimeo_staging.heartbeats, uptimeo_staging.heartbeat_traits")
    _catch_up(driver, say)
    driver.execute("SET synchronous_commit = on")


def catch_up_wholly(driver: Driver) -> None:
    """Take every change that is left; the caller holds the lock that lets no more come."""
    while _value(driver, f"SELECT uptimeo_older.catch_up({_BATCH})"):
        pass


def _begin(driver: Driver, older: Older, say: Say) -> None:
    table = sql.Identifier(older.schema, "api_heartbeats")
    if _value(driver, _HAS_BEGUN):
        return
    patiently(
        driver, older.schema, lambda: driver.execute(sql.SQL(_WATCH).format(table=table)), say
    )
    driver.execute(sql.SQL(_BEGIN).format(table=table))


def _catch_up(driver: Driver, say: Say) -> None:
    # A writer that is faster than we are is not waited for without end.
    for _ in range(_ROUNDS):
        left = int(str(_value(driver, _WAITING)))
        if left <= _ENOUGH:
            return
        say(Progress(f"catching up with {left} changes"))
        _value(driver, f"SELECT uptimeo_older.catch_up({_BATCH})")


def _value(driver: Driver, query: str) -> object:
    row = driver.execute(query.encode()).fetchone()
    return None if row is None else row[0]
