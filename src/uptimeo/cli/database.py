"""Which database does a command talk to?"""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from uptimeo.domain.errors import FatalError
from uptimeo.settings import default_data_dir, read_database
from uptimeo.storage.database import Connection, connect, connection_string, startup_errors
from uptimeo.storage.local import LocalServer
from uptimeo.storage.schema import verify

T = TypeVar("T")


def find_conninfo() -> str:
    """The string of DB_CONN_STRING or its file, else that of the running local server.

    Raises FatalError that says how to have either.
    """
    return find_database()[0]


def find_database() -> tuple[str, bool]:
    """As `find_conninfo`, and whether it is the local server."""
    if (given := read_database(os.environ)) is not None:
        variable, text = given
        try:
            return connection_string(text, _application()), False
        except FatalError as error:
            raise FatalError(f"{variable}: {error}") from error
    directory = default_data_dir(os.environ)
    server = LocalServer(directory)
    if not server.is_running():
        raise FatalError(
            "there is no database: set DB_CONN_STRING, or start one with `uptimeo up`"
            f" (none runs in {directory})"
        )
    return connection_string(server.conninfo, _application()), True


def _application() -> str:
    """Who types, for the history of the configuration; the login role may serve many people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = str(os.getuid())
    return f"uptimeo {user}@{socket.gethostname()}"


@asynccontextmanager
async def database() -> AsyncIterator[Connection]:
    """A connection to a database whose schema is this release's."""
    async with await connect(find_conninfo()) as connection:
        with startup_errors():
            await verify(connection)
            yield connection


def with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on a connection of its own."""

    async def run() -> T:
        async with database() as connection:
            return await work(connection)

    return asyncio.run(run())
