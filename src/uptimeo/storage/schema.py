"""Is the schema there, and how does it get there? The only importer of Alembic and SQLAlchemy."""

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from uptimeo.domain.errors import FatalError
from uptimeo.storage import definitions
from uptimeo.storage.database import (
    MIN_SERVER_VERSION,
    Connection,
    login_error,
    one,
    startup_errors,
)

# The newest file in migrations/versions; a test compares them. A constant, so that an agent
# need not load a migration tool to know what it expects.
HEAD = "0014"
_LOCK = "SELECT pg_advisory_lock(hashtextextended('uptimeo migrate', 0))"
_HAS_VERSION_TABLE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_VERSION = "SELECT version_num FROM alembic_version"
_OLDER_TABLES = "SELECT to_regclass('api_heartbeats') IS NOT NULL"


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
        raise FatalError(
            f"the database's schema is {found}, this release works with {HEAD}: "
            + ("run `uptimeo migrate`" if found < HEAD else "use a newer release of UptimeO")
        )
    if not await definitions.are_applied(connection):
        raise FatalError(
            "the database has the functions of another release: run `uptimeo migrate` with the"
            " release that its agents run"
        )


def migrate(conninfo: str) -> tuple[str | None, str]:
    """Bring the schema to HEAD; answers with the revisions before and after.

    Many may call it at once: a lock lets one work while the others wait and then find it done.
    Raises FatalError for a database that cannot be migrated, TransientError if it is away.
    """
    try:
        driver = psycopg.connect(conninfo)
    except psycopg.Error as error:
        raise login_error(error, conninfo) from error
    with closing(driver), startup_errors():
        _refuse_unfit(driver)
        driver.execute(_LOCK)
        before = _revision(driver)
        if before is None and driver.execute(_OLDER_TABLES).fetchone()[0]:  # type: ignore[index]
            raise FatalError(
                "the database has an api_heartbeats table that UptimeO did not make: "
                "this release cannot adopt it; migrate an empty database or schema"
            )
        driver.commit()
        _upgrade(driver)
        definitions.apply(driver)
        return before, HEAD


def _upgrade(driver: psycopg.Connection[Any]) -> None:
    # Half a second of imports that only a migration pays.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import StaticPool, create_engine  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    # The connection is ours, made by libpq from the string as it is.
    engine = create_engine("postgresql+psycopg://", creator=lambda: driver, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except DBAPIError as error:
            raise error.orig or error from error


def _refuse_unfit(driver: psycopg.Connection[Any]) -> None:
    version = driver.info.server_version
    if version < MIN_SERVER_VERSION:
        raise FatalError(
            f"the server is PostgreSQL {version // 10000}, and UptimeO needs 17 or newer"
        )


def _revision(driver: psycopg.Connection[Any]) -> str | None:
    if not driver.execute(_HAS_VERSION_TABLE).fetchone()[0]:  # type: ignore[index]
        return None
    row = driver.execute(_VERSION).fetchone()
    return None if row is None else row[0]
