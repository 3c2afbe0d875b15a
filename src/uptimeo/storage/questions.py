"""How is a question asked that changes nothing, waits for no lock and ends in time?"""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncClientCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from uptimeo.domain.errors import TransientError, UptimeoError
from uptimeo.storage.database import Connection, our_errors

T = TypeVar("T")
# Local to the transaction: behind a pooler the session is somebody else's a moment later.
_BEFORE = (
    "BEGIN READ ONLY; SET LOCAL statement_timeout = {:d}; SET LOCAL lock_timeout = 1000;"
    " SET LOCAL timezone = 'UTC'; "
)
_AFTER = "; COMMIT"
# A statement ends before it, unless the server hangs.
_WITHIN_MS, _PATIENCE_S = 3000, 4.0
_MISSING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
)


class UnseenError(UptimeoError):
    """The question has no answer; the message says why."""


class NotAllowedError(UnseenError):
    """The role may not see that; the message names the role."""


async def ask(
    connection: Connection,
    query: str,
    kind: type[T],
    params: Mapping[str, Any] | None = None,
    within_ms: int = _WITHIN_MS,
) -> list[T]:
    """The rows, each as one `kind`, whose fields are the columns. One round trip.

    Raises NotAllowedError or UnseenError when the server refuses or is too slow, and TransientError
    when it does not answer at all: the connection is of no use then.
    """
    cursor = AsyncClientCursor(connection, row_factory=class_row(kind))
    text = f"{_BEFORE.format(within_ms)}{query.strip()}{_AFTER}"
    try:
        with our_errors():
            async with asyncio.timeout(_PATIENCE_S):
                # Four statements before it, each with a result of its own.
                await cursor.execute(text.encode(), params)
                while cursor.description is None:
                    if not cursor.nextset():
                        return []
                return await cursor.fetchall()
    except TimeoutError as error:
        raise TransientError(f"no answer within {_PATIENCE_S:g} s") from error
    except UptimeoError as error:
        if connection.closed or connection.hung_up:
            raise
        await _leave(connection)
        raise _why(error, connection) from error


async def asked_one(
    connection: Connection, query: str, kind: type[T], params: Mapping[str, Any] | None = None
) -> T:
    """The only row of an answer that has one; raises as `ask` does."""
    rows = await ask(connection, query, kind, params)
    if not rows:
        raise UnseenError("the database says nothing about it")
    return rows[0]


async def _leave(connection: Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        with our_errors():
            async with asyncio.timeout(_PATIENCE_S):
                await connection.execute("ROLLBACK")


def _why(error: UptimeoError, connection: Connection) -> UptimeoError:
    cause = error.__cause__
    text = str(error).partition("\n")[0]
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return NotAllowedError(f"{connection.info.user} may not see it ({text})")
    if isinstance(cause, _MISSING):
        return UnseenError(f"the schema is not this release's ({text})")
    if isinstance(cause, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return UnseenError(f"the database was too slow ({text})")
    return UnseenError(text)
