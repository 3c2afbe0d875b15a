"""A real PostgreSQL for the tests: one server a run, one migrated template, one database a test."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from uptimeo.storage.local import LocalServer
from uptimeo.storage.schema import migrate

# Nothing here outlives the run, so nothing has to survive a power cut.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
_TEMPLATE = f"uptimeo_template_{os.getpid()}"
_numbers = count(1)


@contextmanager
def server(options: Sequence[str] = _FAST) -> Iterator[str]:
    """The connection string of a maintenance database: UPTIMEO_TEST_DSN, or a server of our own.

    `options` are for a server of our own; by default it forgets everything in a power cut.
    """
    if given := os.environ.get("UPTIMEO_TEST_DSN"):
        yield given
        return
    # Not pytest's own directory: the server's user must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="uptimeo-test-"))
    directory.chmod(0o711)
    local = local_server(directory, options)
    local.start()
    _let_in_as_anyone(directory, local.conninfo)
    try:
        yield local.conninfo
    finally:
        local.stop()
        shutil.rmtree(directory)


def local_server(directory: Path, options: Sequence[str] = ()) -> LocalServer:
    """A server on that directory: of the programs in UPTIMEO_TEST_PG_BIN, or of the wheel."""
    given = os.environ.get("UPTIMEO_TEST_PG_BIN")
    return LocalServer(directory, options, Path(given).absolute().parent if given else None)


def _let_in_as_anyone(directory: Path, conninfo: str) -> None:
    """Whoever may log in at all, and the server's own user, may do so as every role."""
    map_file = directory / "postgres" / "pg_ident.conf"
    lines = [line.split() for line in map_file.read_text().splitlines()]
    users = {(name, user) for name, user, _ in lines}
    users |= {(name, map_file.owner()) for name, _, _ in lines}
    map_file.write_text("".join(f"{name} {user} all\n" for name, user in sorted(users)))
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def template(maintenance: str) -> Iterator[str]:
    """The name of a migrated database with the sample datacenters, to be copied."""
    with _database(maintenance, f"CREATE DATABASE {_TEMPLATE}", _TEMPLATE) as conninfo:
        migrate(conninfo)
        yield _TEMPLATE


@contextmanager
def database(maintenance: str, template_name: str | None) -> Iterator[str]:
    """The connection string of a database of the test's own; an empty one without a template."""
    name = f"uptimeo_test_{os.getpid()}_{next(_numbers)}"
    like = f" TEMPLATE {template_name}" if template_name else ""
    with _database(maintenance, f"CREATE DATABASE {name}{like}", name) as conninfo:
        yield conninfo


@contextmanager
def frozen(directory: Path) -> Iterator[None]:
    """The server on that directory stands still, its connections open: it hangs, and is not away.

    The postmaster first: it must not start another process while the rest are being stopped.
    """
    postmaster = int((directory / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(postmaster, signal.SIGSTOP)
    children = _children(postmaster)
    _signal(children, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal([postmaster, *children], signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name, which may hold anything: the state and the parent.
            _, its_parent, *_ = entry.read_text().rpartition(")")[2].split()
            if int(its_parent) == parent:
                found.append(int(entry.parent.name))
    return found


@contextmanager
def _database(maintenance: str, create: str, name: str) -> Iterator[str]:
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(create.encode())
    try:
        yield make_conninfo(maintenance, dbname=name)
    finally:
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
