"""Does what is in `dist/` install from the lock file into a new environment, and run there?

On each Python that the project promises and that is found, or on those named as arguments:

1. the sdist builds the same wheel;
2. the `requirements.lock` in it with hashes, then the wheel; `pip check`;
3. `uptimeo --version`, `uptimeo probe-types`;
4. `uptimeo up --demo` for some seconds: heartbeats of every status, no exception; meanwhile
   `uptimeo migrate` and `uptimeo status`; an orderly end.

Prints a line for each, and exits with 1 if one failed. Needs a package index.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.release.build import DIST, content, digest, epoch_of
from tests.release.project import VERSION, pythons

_WATCHED_S = 10.0
_PATIENCE_S = 120
_INSTALLED_WITHIN_S = 900
_OUR_VARIABLES = ("UPTIMEO_", "DB_CONN_", "DATACENTER_ID", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one environment was like."""

    installed_s: float
    ready_s: float
    heartbeats: Counter[str]

    def line(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.heartbeats.items()))
        return (
            f"installed in {self.installed_s:.0f} s, the first heartbeat after {self.ready_s:.1f} s"
            f", in {_WATCHED_S:.0f} s {self.heartbeats.total()} heartbeats ({counts})"
        )


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would tell a new environment of this one."""
    clean = {name: v for name, v in os.environ.items() if not name.startswith(_OUR_VARIABLES)}
    return {**clean, **more}


def run(
    command: Sequence[str | Path],
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    within_s: float = _PATIENCE_S,
) -> str:
    """What a command printed. Raises RuntimeError with that if it failed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd="/",
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def only(pattern: str) -> Path:
    """The one file of `dist/` like that."""
    (path,) = DIST.glob(pattern)
    return path


def install(python: str, place: Path) -> Path:
    """A new environment with the locked dependencies and the wheel; returns its `bin`."""
    wheel, sdist = only("*.whl"), only("*.tar.gz")
    run([python, "-m", "venv", place / "venv"])
    pip = (str(place / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
    rebuild(pip, sdist, wheel, place)
    lock = place / "requirements.lock"
    lock.write_bytes(content(sdist, lock.name))
    locked = [*pip, "install", "--quiet", "--require-hashes", "-r", str(lock)]
    run(locked, within_s=_INSTALLED_WITHIN_S)
    run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)])
    run([*pip, "check"])
    return place / "venv" / "bin"


def rebuild(pip: Sequence[str], sdist: Path, wheel: Path, place: Path) -> None:
    """Build the sdist as pip does. Raises RuntimeError if another wheel comes of it."""
    command = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(sdist)]
    run(command, {"SOURCE_DATE_EPOCH": epoch_of(sdist)}, within_s=_INSTALLED_WITHIN_S)
    if digest(place / wheel.name) != digest(wheel):
        raise RuntimeError(f"{sdist.name} builds another wheel than {wheel.name}")


def look(programs: Path) -> None:
    """What it says of itself. Raises RuntimeError if that is not this version."""
    told = run([programs / "uptimeo", "--version"])
    if told != f"uptimeo {VERSION}\n":
        raise RuntimeError(f"uptimeo --version says {told!r}, not {VERSION}")
    types = json.loads(run([programs / "uptimeo", "probe-types", "--json"]))
    if {each["package"] for each in types} != {f"uptimeo {VERSION}"}:
        raise RuntimeError(f"uptimeo probe-types says {types}")


class Demo:
    """The log lines of a running `uptimeo up --demo`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def heartbeats(self) -> Counter[str]:
        stored = (line for line in self.lines if line.get("event") == "heartbeat_inserted")
        return Counter(line["status"] for line in stored)

    def await_first(self) -> None:
        """Returns when a heartbeat is stored."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.heartbeats():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no heartbeat; the last lines: {self.lines[-5:]}")
            time.sleep(0.05)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(_PATIENCE_S)
        self._reading.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # What is for people, such as how to reach the server, is no JSON.
            self.lines.append(json.loads(line) if line.startswith("{") else {"said": line})


@contextmanager
def demo(programs: Path, variables: Mapping[str, str]) -> Iterator[Demo]:
    """`uptimeo up --demo`; killed at the end if it still runs."""
    process = subprocess.Popen(
        [programs / "uptimeo", "up", "--demo"],
        cwd="/",
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = Demo(process)
    try:
        yield started
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def watch(programs: Path, data: Path) -> tuple[float, Counter[str]]:
    """How long the demo took until its first heartbeat, and what came in the seconds after."""
    variables = {"UPTIMEO_DATA_DIR": str(data)}
    began = time.monotonic()
    with demo(programs, variables) as running:
        running.await_first()
        ready_s = time.monotonic() - began
        time.sleep(_WATCHED_S)
        found = running.heartbeats()
        run([programs / "uptimeo", "migrate"], variables)
        # Exit code 1 says that something is down, which is so in the demo.
        run(["sh", "-c", '"$0" status || test $? = 1', programs / "uptimeo"], variables)
        code = running.end()
    thrown = [line for line in running.lines if "exception" in line]
    if code != 0 or thrown or not {"up", "degraded", "down"} <= set(found):
        raise RuntimeError(f"exit code {code}, heartbeats {dict(found)}, exceptions {thrown}")
    return ready_s, found


def attempt(python: str) -> Seen:
    """All of it on one Python. Raises RuntimeError or subprocess.SubprocessError."""
    place = Path(tempfile.mkdtemp(prefix="uptimeo-release-"))
    # The server of `up` runs as another user if we are root.
    place.chmod(0o711)
    try:
        began = time.monotonic()
        programs = install(python, place)
        installed_s = time.monotonic() - began
        look(programs)
        ready_s, heartbeats = watch(programs, place / "data")
    finally:
        shutil.rmtree(place)
    return Seen(installed_s=installed_s, ready_s=ready_s, heartbeats=heartbeats)


def found(version: str) -> str | None:
    """A Python of that version: on the path, or one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    for path in (shutil.which(f"python{version}"), *map(str, of_pyenv)):
        # What pyenv puts on the path may be there without being chosen.
        if (
            path
            and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return path
    return None


def main() -> None:
    asked = {python: python for python in sys.argv[1:]}
    chosen: dict[str, str | None] = dict(asked) or {v: found(v) for v in pythons()}
    failed = 0
    for name, python in chosen.items():
        if python is None:
            print(f"Python {name}: not found, not tried", flush=True)
            continue
        version = run([python, "-c", "import platform; print(platform.python_version())"]).strip()
        try:
            print(f"Python {version}: {attempt(python).line()}", flush=True)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"Python {version}: FAILED: {error}", flush=True)
    if failed or not any(chosen.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
