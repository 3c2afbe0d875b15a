"""How is a command run so that nothing of it is left, and only so much of its output?"""

import asyncio
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EAGAIN, EMFILE, ENFILE, ENOMEM

from uptimeo.domain.result import ErrorType
from uptimeo.probes.failing import TargetError, fail

_CHUNK = 65_536
# What has come by the end of the command is in the pipe already; its children may hold it open.
_LAST_WORDS_S = 0.1
_REAP_S = 0.1
_STARVED = frozenset({EMFILE, ENFILE, ENOMEM, EAGAIN})
_FILE_BYTES = 67_108_864
_FILES = 1024


@dataclass(slots=True)
class Output:
    """The beginning of what a command wrote; `size` counts all of it."""

    limit: int
    start: bytearray = field(default_factory=bytearray)
    size: int = 0

    def add(self, part: bytes) -> None:
        """Keep what there is room for."""
        self.start += part[: self.limit - len(self.start)]
        self.size += len(part)


async def run(
    argv: Sequence[str], environment: Mapping[str, str], timeout_s: float, output: Output
) -> int:
    """The exit status; negative: the number of the signal that killed it.

    Runs in a process group of its own, which is killed at the end, whatever the end is. Raises
    TargetError after `timeout_s`, or if the command cannot be started.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            os.set_blocking(write_end, True)
            process = await _start(argv, environment, write_end)
        finally:
            os.close(write_end)
        _limit(process.pid, timeout_s)
        reading = asyncio.create_task(_read(read_end, output), name="exec output")
        try:
            return await _ended(process, reading, timeout_s)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await _kill_group(process)
    finally:
        os.close(read_end)


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], write_end: int
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise _unstarted(argv[0], error) from error


def _unstarted(program: str, error: OSError) -> TargetError:
    text = f"{program} cannot be run: {error.strerror}"
    if error.errno in _STARVED:
        return fail(ErrorType.RESOURCES, text)
    denied = isinstance(error, PermissionError)
    return fail(ErrorType.PERMISSION if denied else ErrorType.MISCONFIGURED, text)


async def _ended(
    process: asyncio.subprocess.Process, reading: "asyncio.Task[None]", timeout_s: float
) -> int:
    try:
        async with asyncio.timeout(timeout_s):
            status = await process.wait()
    except TimeoutError as error:
        text = f"it did not end within {timeout_s * 1000:.0f} ms and was killed"
        raise fail(ErrorType.TIMEOUT, text) from error
    await asyncio.wait([reading], timeout=_LAST_WORDS_S)
    return status


async def _read(read_end: int, output: Output) -> None:
    """Until the end, so that a command that writes much is not stopped by a full pipe."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(read_end, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            try:
                part = os.read(read_end, _CHUNK)
            except BlockingIOError:
                continue
            if not part:
                return
            output.add(part)
    finally:
        loop.remove_reader(read_end)


def _limit(pid: int, timeout_s: float) -> None:
    """Set from outside, so that a command is without them for its first instant.

    A process with threads, such as ours, must not run code between fork and exec.
    """
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CPU, int(timeout_s) + 1),
    ):
        with suppress(OSError, ValueError):
            hard = resource.prlimit(pid, kind)[1]
            bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.prlimit(pid, kind, (bound, bound))


async def _kill_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP_S):
            await process.wait()
