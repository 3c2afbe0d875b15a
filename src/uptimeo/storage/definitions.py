"""The functions and views of this release: what do they say, and are they in the database?

Tables come by migrations, once. Functions and views are replaced whole at every migrate, so that
each stands in one file, as it is.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from uptimeo.storage.database import Connection, one

_FOLDER = Path(__file__).parent / "migrations" / "definitions"
_FOUND = "SELECT digest FROM schema_definitions"
_TABLE = "SELECT to_regclass('schema_definitions') IS NOT NULL"
_DIGEST = """
INSERT INTO schema_definitions (digest) VALUES (%s)
ON CONFLICT (one_row) DO UPDATE SET digest = excluded.digest, applied_at = clock_timestamp()
"""


@cache
def texts() -> tuple[str, ...]:
    """The SQL of all functions, then of all views, each kind in the order of its files' names."""
    kinds = (_FOLDER / kind for kind in ("functions", "views"))
    return tuple(file.read_text("utf-8") for kind in kinds for file in sorted(kind.glob("*.sql")))


def digest() -> str:
    """What tells one release's definitions from another's."""
    return sha256("\0".join(texts()).encode()).hexdigest()


async def are_applied(connection: Connection) -> bool:
    """Whether the database has those of this release; raises errors of psycopg."""
    return bool(await one(connection, _TABLE)) and await one(connection, _FOUND) == digest()


def apply(driver: psycopg.Connection[Any]) -> None:
    """Replace all of them, in one transaction; raises errors of psycopg."""
    with driver.transaction():
        # A function may call one of a later file.
        driver.execute("SET LOCAL check_function_bodies = off")
        for text in texts():
            driver.execute(text.encode())
        driver.execute(_DIGEST, (digest(),))
