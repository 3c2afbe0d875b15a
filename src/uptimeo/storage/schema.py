"""Is the schema there, and how does it get there? The only importer of Alembic and SQLAlchemy."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from uptimeo.domain.errors import FatalError
from uptimeo.storage import definitions
from uptimeo.storage.adoption import adopting
from uptimeo.storage.adoption.forecast import Forecast, forecast
from uptimeo.storage.adoption.progress import Progress, Say
from uptimeo.storage.database import (
    MIN_SERVER_VERSION,
    Connection,
    login_error,
    one,
    startup_errors,
)

# The newest file in migrations/versions; a test compares them. A constant, so that an agent
# need not load a migration tool to know what it expects.
HEAD = "0018"
_LOCK = "SELECT pg_advisory_lock(hashtextextended('uptimeo migrate', 0))"
# What an installation grants its queries is not enough for a step on a large table.
_NO_HURRY = "SET statement_timeout = 0; SET transaction_timeout = 0"
_HAS_VERSION_TABLE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_VERSION = "SELECT version_num FROM alembic_version"


async def verify(connection: Connection) -> None:
    """Check that server and schema are what this release works with; FatalError if not."""
    version = connection.info.server_version
    if version < MIN_SERVER_VERSION:
        raise FatalError(
            f"the server is PostgreSQL {version // 10000}, and UptimeO needs 17 or newer"
        )
    found = None
    if await one(connection, _HAS_VERSION_TABLE):
        found = await one(connection, _VERSION)
    if found is None:
        raise FatalError("the database has no UptimeO schema: run `uptimeo migrate`")
    if found != HEAD:
        raise _of_another_release(found)
    if not await definitions.are_applied(connection):
        raise FatalError(
            "the database has the functions of another release: run `uptimeo migrate` with the"
            " release that its agents run"
        )


def migrate(conninfo: str, say: Say | None = None) -> tuple[str | None, str]:
    """Bring the schema to HEAD; answers with the revisions before and after.

    Many may call it at once: a lock lets one work while the others wait and then find it done.
    Tables of an older installation are adopted, which may take hours, if somebody hears in `say`
    how far it is. Raises FatalError for a database that cannot be migrated, TransientError if it
    is away.
    """
    with _session(conninfo) as driver:
        before = _revision(driver)
        if before is None and say is not None:
            adopting.adopt(driver, partial(upgrade, driver), say)
        elif before is None and adopting.is_due(driver):
            raise FatalError(
                "the database has the tables of an older installation: see what adopting them"
                " means with `uptimeo migrate --dry-run`, then run `uptimeo migrate`"
            )
        upgrade(driver, "head")
        definitions.apply(driver, None if say is None else lambda step: say(Progress(step)))
        if say is not None:
            adopting.verify(driver, say)
        return before, HEAD


def foresee(conninfo: str) -> tuple[str | None, Forecast | None]:
    """The revision that is there, and what adopting older tables would do, if there are any.

    Changes nothing. Raises FatalError where `migrate` would, or while one is at work.
    """
    with _session(conninfo, lock_timeout="3s") as driver:
        before = _revision(driver)
        return before, forecast(driver) if before is None else None


def drop_older(conninfo: str) -> None:
    """Remove what an adoption has kept of the older tables; FatalError if that is too early."""
    with _session(conninfo, lock_timeout="3s") as driver:
        adopting.drop_older(driver)


@contextmanager
def _session(conninfo: str, lock_timeout: str = "0") -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode that is the only one to migrate.

    Waits for another one, but not longer than `lock_timeout`: FatalError then.
    """
    try:
        driver = psycopg.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        raise login_error(error, conninfo) from error
    with closing(driver), startup_errors():
        _refuse_unfit(driver)
        driver.execute(_NO_HURRY)
        driver.execute("SELECT set_config('lock_timeout', %s, false)", (lock_timeout,))
        try:
            driver.execute(_LOCK)
        except psycopg.errors.LockNotAvailable as error:
            raise FatalError("another `uptimeo migrate` is at work on this database") from error
        driver.execute("SET lock_timeout = 0")
        yield driver


def upgrade(driver: psycopg.Connection[Any], revision: str) -> None:
    """Run the migrations up to a revision; the functions and views are those that were there."""
    # Half a second of imports that only a migration pays.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import StaticPool, create_engine  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    # The connection is ours, made by libpq from the string as it is.
    engine = create_engine("postgresql+psycopg://", creator=lambda: driver, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # SQLAlchemy commits by itself.
    driver.autocommit = False
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except DBAPIError as error:
            raise error.orig or error from error
    driver.autocommit = True


def _refuse_unfit(driver: psycopg.Connection[Any]) -> None:
    version = driver.info.server_version
    if version < MIN_SERVER_VERSION:
        raise FatalError(
            f"the server is PostgreSQL {version // 10000}, and UptimeO needs 17 or newer"
        )
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise FatalError(
            f"the database {driver.info.dbname} has the encoding {encoding}, and UptimeO needs"
            " UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _revision(driver: psycopg.Connection[Any]) -> str | None:
    if not driver.execute(_HAS_VERSION_TABLE).fetchone()[0]:  # type: ignore[index]
        return None
    row = driver.execute(_VERSION).fetchone()
    found: str | None = None if row is None else row[0]
    if found is not None and found > HEAD:
        raise _of_another_release(found)
    return found


def _of_another_release(found: str) -> FatalError:
    return FatalError(
        f"the database's schema is {found}, this release works with {HEAD}: "
        + ("run `uptimeo migrate`" if found < HEAD else "use a newer release of UptimeO")
    )
