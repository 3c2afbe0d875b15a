"""How is a real server program run for a while, on loopback ports and with files of its own?"""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.zoo import Zoo

HOST = "127.0.0.1"
_SYSTEM = "/usr/sbin:/usr/local/sbin:/sbin"
_STARTS_WITHIN_S = 30
_ENDS_WITHIN_S = 10
_INSTALLED_WITHIN_S = 300


def find(program: str) -> str | None:
    """Its path, also where only root looks for programs."""
    return shutil.which(program) or shutil.which(program, path=_SYSTEM)


def environment(*packages: str) -> str | None:
    """The Python of a new environment with these packages, removed at the end of this process.

    None if they cannot be installed, as without a package index.
    """
    directory = Path(tempfile.mkdtemp(prefix="uptimeo-environment-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    python = directory / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", str(directory)], [*install, *packages]):
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALLED_WITHIN_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return str(python)


def me() -> str:
    """The user that runs this."""
    return pwd.getpwuid(os.geteuid()).pw_name


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a program keeps its files, and the ports that it gets, by names of our choice."""

    directory: Path
    zoo: Zoo
    ports: dict[str, int] = field(default_factory=dict)
    logs: list[Path] = field(default_factory=list)

    def port(self, name: str) -> int:
        """A free port of loopback, the same for each call with that name."""
        if name not in self.ports:
            with socket.socket() as held:
                held.bind((HOST, 0))
                self.ports[name] = held.getsockname()[1]
        return self.ports[name]

    def chain(self, animal: str = "good") -> Path:
        """A file with the certificates that this animal of the zoo presents."""
        shown = self.zoo.animals[animal]
        return self.write(f"{animal}.pem", "".join(each.pem for each in (shown.leaf, *shown.sent)))

    def key(self, animal: str = "good") -> Path:
        """A file with its key."""
        return self.write(f"{animal}.key", self.zoo.animals[animal].leaf.key_pem)

    def both(self, animal: str = "good") -> Path:
        """One file with both."""
        text = self.chain(animal).read_text() + self.key(animal).read_text()
        return self.write(f"{animal}-both.pem", text)

    def write(self, name: str, text: str) -> Path:
        """A file of that name, which whatever user the program becomes may read."""
        path = self.directory / name.replace(" ", "-")
        path.write_text(text)
        return path

    def folder(self, name: str) -> Path:
        """A directory of that name that whatever user may write into."""
        path = self.directory / name
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        return path

    @contextmanager
    def running(
        self, command: Sequence[str], *ports: str, user: str | None = None
    ) -> Iterator[None]:
        """The program in the foreground, once it listens on all of these ports; then its end."""
        log = self.directory / f"{Path(command[0]).name}-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.directory,
                user=user,
                start_new_session=True,
            )
        try:
            for name in ports:
                self._await(self.ports[name], process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, command: Sequence[str], *, user: str | None = None) -> None:
        """A command that prepares something. Raises RuntimeError with what it said."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.directory, user=user
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-1000:]}")

    def said(self) -> str:
        """The last lines of what the programs printed, for a report."""
        texts = [log.read_text("utf-8", "replace") for log in self.logs if log.exists()]
        return "\n".join("\n".join(text.splitlines()[-8:]) for text in texts)

    def _await(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nobody listens on port {port}: {self.said()}") from None
                time.sleep(0.02)
            else:
                return
