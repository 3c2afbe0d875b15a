"""The steps of an adoption, in order; each begins where the last run ended."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from psycopg import sql

from uptimeo.domain.errors import FatalError
from uptimeo.storage.adoption import cutover, history, older, staging
from uptimeo.storage.adoption.older import Driver
from uptimeo.storage.adoption.progress import Progress, Say

_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = session_user"
_HAS_TABLES = "SELECT to_regclass('api_heartbeats') IS NOT NULL"
_HAS_CUT_OVER = """
SELECT to_regclass('uptimeo_older.adoption') IS NOT NULL
AND to_regclass('uptimeo_older.api_heartbeats') IS NOT NULL
"""
_UNVERIFIED = "SELECT verified_at IS NULL, extract(epoch FROM stall) FROM uptimeo_older.adoption"


def is_due(driver: Driver) -> bool:
    """Whether there are tables that UptimeO did not make, in a database without its schema."""
    return bool(driver.execute(_HAS_TABLES).fetchone()[0])  # type: ignore[index]


def adopt(driver: Driver, upgrade: Callable[[str], None], say: Say) -> bool:
    """Make the older tables of this database ours, if it has any; whether it had.

    The connection is in autocommit mode, and the only one that migrates. `upgrade` runs the
    migrations up to a revision. Raises FatalError if these tables cannot be adopted.
    """
    found = older.find(driver)
    if found is None:
        return False
    with as_owner(driver, found.owner):
        say(Progress("preparing the new tables"))
        staging.run_file(driver, "begin.sql")
        staging.run_file(driver, "swap.sql")
        staging.build(driver, found, upgrade)
    with _as_allowed(driver, found.owner):
        cutover.rehearse(driver, found, say)
    with as_owner(driver, found.owner):
        history.copy(driver, found, say)
    with _as_allowed(driver, found.owner):
        cutover.cut_over(driver, found, say)
    return True


def verify(driver: Driver, say: Say) -> None:
    """After the cutover, once: find each older heartbeat among ours."""
    if not driver.execute(_HAS_CUT_OVER).fetchone()[0]:  # type: ignore[index]
        return
    unverified, stall_s = driver.execute(_UNVERIFIED).fetchone()  # type: ignore[misc]
    if unverified:
        say(Progress(f"cut over in {stall_s * 1000:.0f} ms; looking for each older heartbeat"))
        total = cutover.verify(driver)
        say(Progress("every older heartbeat is in api_heartbeats", total, total))
        say(Progress("the older tables are kept in the schema uptimeo_older"))
        say(Progress("nothing is dropped for its age before you say so: uptimeo retention set"))


def drop_older(driver: Driver) -> None:
    """Remove what an adoption has kept of the older tables; FatalError unless all was found."""
    if not driver.execute(_HAS_CUT_OVER).fetchone()[0]:  # type: ignore[index]
        raise FatalError("there are no older tables to drop: the schema uptimeo_older has none")
    if driver.execute(_UNVERIFIED).fetchone()[0]:  # type: ignore[index]
        raise FatalError(
            "the older heartbeats have not been compared with the new ones: run `uptimeo migrate`"
        )
    driver.execute("DROP SCHEMA uptimeo_older CASCADE")


def _as_allowed(driver: Driver, owner: str) -> AbstractContextManager[None]:
    """What hangs on the older tables may belong to others: as a superuser, if this is one."""
    superuser = driver.execute(_IS_SUPERUSER).fetchone()[0]  # type: ignore[index]
    return nullcontext() if superuser else as_owner(driver, owner)


@contextmanager
def as_owner(driver: Driver, owner: str) -> Iterator[None]:
    """What is made belongs to whom the older tables belong."""
    driver.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)))
    try:
        yield
    finally:
        if not driver.closed:
            driver.execute("RESET ROLE")
