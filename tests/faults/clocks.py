"""What if a clock is wrong? libfaketime gives an agent or the database another wall clock.

Clocks that do not step (monotonic, boottime) stay true, as on a real machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)


def missing() -> str | None:
    """Why no clock can be wrong on this machine, or None."""
    library = _library()
    if library is None:
        return "libfaketime is not installed"
    date = shutil.which("date")
    assert date is not None, "there is no `date`"
    environment = {"PATH": os.environ["PATH"], **shifted(3600 * 24 * 400)}
    command = [date, "+%Y"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    true = subprocess.run(command, capture_output=True, text=True, check=True)
    return None if told.stdout != true.stdout else "libfaketime does not change the clock here"


def shifted(seconds: int) -> dict[str, str]:
    """The variables of a process whose wall clock is off by that much."""
    return {**_preloaded(), "FAKETIME": f"{seconds:+d}"}


class MovableClock:
    """The wall clock of processes that are started inside `governs`; it can be moved any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0)

    def move(self, offset_s: int) -> None:
        """Set it that far ahead of the true one."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n", "ascii")
        new.chmod(0o644)  # the server's user reads it
        new.replace(self._file)

    @contextmanager
    def governs(self) -> Iterator[None]:
        """Processes that are started in here have this clock."""
        ours = {
            **_preloaded(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def movable_clock() -> Iterator[MovableClock]:
    """A clock that is right until it is moved."""
    with TemporaryDirectory(prefix="uptimeo-clock-") as name:
        Path(name).chmod(0o711)
        yield MovableClock(Path(name) / "clock")


def _preloaded() -> dict[str, str]:
    return {
        "LD_PRELOAD": _library() or "",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",  # processes that share nothing do not wait for each other
    }


def _library() -> str | None:
    return next((path for path in _LIBRARIES if Path(path).exists()), None)
