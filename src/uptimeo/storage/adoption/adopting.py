"""The steps of an adoption, in order; each begins where the last run ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import sql

from uptimeo.storage.adoption import cutover, history, older, staging
from uptimeo.storage.adoption.older import Driver
from uptimeo.storage.adoption.progress import Progress, Say

_IS_UNVERIFIED = """
SELECT to_regclass('uptimeo_older.adoption') IS NOT NULL
AND to_regclass('uptimeo_older.api_heartbeats') IS NOT NULL
"""
_UNVERIFIED = "SELECT verified_at IS NULL, extract(epoch FROM stall) FROM uptimeo_older.adoption"


def adopt(driver: Driver, upgrade: Callable[[str], None], say: Say) -> bool:
    """Make the older tables of this database ours, if it has any; whether it had.

    The connection is in autocommit mode, and the only one that migrates. `upgrade` runs the
    migrations up to a revision. Raises FatalError if these tables cannot be adopted.
    """
    found = older.find(driver)
    if found is None:
        return False
    with _as_owner(driver, found.owner):
        say(Progress("preparing the new tables"))
        staging.run_file(driver, "begin.sql")
        staging.run_file(driver, "swap.sql")
        staging.build(driver, found, upgrade)
        history.copy(driver, found, say)
        cutover.cut_over(driver, found, say)
    return True


def verify(driver: Driver, say: Say) -> None:
    """After the cutover, once: find each older heartbeat among ours."""
    if not driver.execute(_IS_UNVERIFIED).fetchone()[0]:  # type: ignore[index]
        return
    unverified, stall_s = driver.execute(_UNVERIFIED).fetchone()  # type: ignore[misc]
    if unverified:
        say(Progress(f"cut over in {stall_s * 1000:.0f} ms; looking for each older heartbeat"))
        total = cutover.verify(driver)
        say(Progress("every older heartbeat is in api_heartbeats", total, total))


@contextmanager
def _as_owner(driver: Driver, owner: str) -> Iterator[None]:
    """What is made belongs to whom the older tables belong."""
    driver.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)))
    try:
        yield
    finally:
        if not driver.closed:
            driver.execute("RESET ROLE")
