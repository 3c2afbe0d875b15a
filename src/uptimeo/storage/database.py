"""How is PostgreSQL reached, and what does each of its errors mean to us?"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from uptimeo.domain.errors import FatalError, RejectedError, TransientError

MIN_SERVER_VERSION = 170_000
# A dead link is seen within five seconds; what the user's own string says wins. Connecting with
# TLS takes eight round trips: two seconds would not do between continents.
_DEFAULTS = {
    "connect_timeout": "4",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "3000",
    "target_session_attrs": "read-write",
}
# The server's side of the same: the session of a host that vanished is gone in six seconds, and
# with it whatever it had locked. Any user may set these; on a local socket they do nothing.
_SERVER_SIDE = b"""
SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '4s'; SET client_connection_check_interval = '2s'
"""
# The longest use of a connection of the pool: a server that hangs must not keep all four.
_USE_S = 10.0
# The pool tries ever more seldom, up to two minutes apart. Once it has given up, whoever wants a
# connection makes it try at once.
_TRY_AGAIN_S = 5.0
# Data exception, integrity violation, program limit exceeded: the same rows fail again.
_DATA_CLASSES = ("22", "23", "54")
# Of class 22, and yet no fault of the rows: a sequence is at its end, and a person must act.
_NO_NUMBERS_LEFT = "2200H"
# libpq gives a failed login no SQLSTATE, only the server's text.
_FATAL_TEXTS = (
    ("password authentication failed", "the user or its password is wrong"),
    ("no password supplied", "the server asks for a password, and the string has none"),
    ("no pg_hba.conf entry", "the server does not let this user in from here"),
    ("Peer authentication failed", "the server does not let this user in over its socket"),
    ("does not exist", "the server has no such database or user"),
    ("permission denied for database", "the user may not connect to this database"),
    ("root certificate file", "the server's certificate cannot be verified"),
    ("certificate verify failed", "the server's certificate cannot be verified"),
    ("server does not support SSL", "the string asks for TLS, and the server has none"),
)


class Connection(AsyncConnection[TupleRow]):
    """One whose call ends at once when it is cancelled, whatever the server does.

    The price: the connection is of no use afterwards, and the server may finish the statement.
    `hung_up` tells it, since an answer that came in the same moment leaves it looking sound.
    """

    hung_up = False

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ARG002, ASYNC109 - psycopg's
        """Shut the socket down, which ends the wait on it.

        psycopg calls this when a call is cancelled, to have the server cancel the statement. A
        server that hangs, or a link that is dead, would be waited for up to ten seconds.
        """
        self.hung_up = True
        if not self.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)


Pool = AsyncConnectionPool[Connection]


def connection_string(uri: str, application_name: str) -> str:
    """`uri` (a libpq URI or keyword string) with our timeouts where it names none.

    Raises FatalError when libpq cannot parse it; the message does not repeat the string, which
    may hold a password.
    """
    try:
        given = conninfo_to_dict(uri)
    except psycopg.ProgrammingError as error:
        # libpq quotes the part that it did not understand, which may be one of a password.
        reason = re.sub(r'"[^"]*"', '"..."', str(error).strip())
        raise FatalError(f"not a PostgreSQL connection string: {reason}") from None
    for port in str(given.get("port") or "5432").split(","):
        if not (port.isdecimal() and 0 < int(port) < 65536):
            raise FatalError(f"not a PostgreSQL connection string: the port {port!r} is no port")
    known: dict[str, Any] = {**_DEFAULTS, "application_name": application_name, **given}
    return make_conninfo(**known)


def shown(conninfo: str) -> str:
    """Where a connection string leads, without its secrets."""
    given = conninfo_to_dict(conninfo)
    host = given.get("host") or given.get("hostaddr") or "the default socket"
    port, name = given.get("port") or "5432", given.get("dbname") or given.get("user") or "?"
    return f"{host}:{port}/{name}"


def host_names(conninfo: str) -> list[str]:
    """The hosts that libpq would look up; none for sockets and where addresses are given."""
    given = conninfo_to_dict(conninfo)
    if given.get("hostaddr"):
        return []
    return [h for h in str(given.get("host") or "").split(",") if h and h[0] not in "/@"]


async def connect(conninfo: str) -> Connection:
    """One autocommit connection, safe behind a transaction pooler (nothing is prepared).

    Raises FatalError where a person must act (wrong password, no such database), TransientError
    where waiting may help.
    """
    try:
        connection = await Connection.connect(conninfo, autocommit=True, prepare_threshold=None)
        await _configure(connection)
    except psycopg.Error as error:
        raise login_error(error, conninfo) from error
    return connection


def make_pool(conninfo: str, size: int) -> Pool:
    """A pool that is not open yet; its connections are like those of `connect`."""
    return AsyncConnectionPool(
        conninfo,
        connection_class=Connection,
        min_size=1,
        max_size=size,
        open=False,
        configure=_configure,
        timeout=2.0,
        reconnect_timeout=_TRY_AGAIN_S,
        kwargs={"autocommit": True, "prepare_threshold": None},
        name="uptimeo",
    )


async def _configure(connection: Connection) -> None:
    await connection.execute(_SERVER_SIDE)


@asynccontextmanager
async def borrowed(pool: Pool, within_s: float = _USE_S) -> AsyncIterator[Connection]:
    """A connection of the pool; every psycopg error inside becomes one of ours.

    TransientError also when it is not given back in time: the outcome is unknown then.
    """
    try:
        with our_errors():
            async with asyncio.timeout(within_s), pool.connection() as connection:
                try:
                    yield connection
                finally:
                    if connection.hung_up:
                        await connection.close()
    except TimeoutError as error:
        raise TransientError(f"no answer within {within_s:g} s") from error


@contextmanager
def our_errors() -> Iterator[None]:
    """Turn psycopg's errors into RejectedError (the data) or TransientError (anything else)."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        state = getattr(error, "sqlstate", None) or ""
        text = str(error).strip() or type(error).__name__
        # psycopg itself refuses a text with NUL: a DataError that never reached the server.
        if state == _NO_NUMBERS_LEFT:
            raise TransientError(text) from error
        if state.startswith(_DATA_CLASSES) or isinstance(error, psycopg.DataError):
            raise RejectedError(text) from error
        raise TransientError(text) from error


@contextmanager
def startup_errors() -> Iterator[None]:
    """As `our_errors`, but a missing right or table (class 42) is a FatalError.

    At the start of something, nobody is served by waiting for it.
    """
    try:
        with our_errors():
            yield
    except TransientError as error:
        if (getattr(error.__cause__, "sqlstate", None) or "").startswith("42"):
            raise FatalError(f"the database refuses: {error}") from error
        raise


def login_error(error: psycopg.Error, conninfo: str) -> FatalError | TransientError:
    """What a failed connect means: a person must act, or waiting may help."""
    text = " ".join(str(error).split())
    for pattern, meaning in _FATAL_TEXTS:
        if pattern in text:
            return FatalError(f"{shown(conninfo)}: {meaning} ({text})")
    return TransientError(f"{shown(conninfo)}: {text}")


async def one(connection: Connection, query: str, params: Any = None) -> Any:
    """The first column of the first row, or None without a row."""
    row = await (await connection.execute(query.encode(), params)).fetchone()
    return None if row is None else row[0]


def local_address(connection: Connection) -> str:
    """The address of this host that faces the server; 127.0.0.1 over a local socket."""
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        if duplicate.family not in (socket.AF_INET, socket.AF_INET6):
            return "127.0.0.1"
        return str(duplicate.getsockname()[0])
