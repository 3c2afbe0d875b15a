"""How is the demo target started, and how is it stopped? A child process of its own."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from uptimeo.demo.monitors import DemoTarget
from uptimeo.domain.errors import FatalError

_START_S = 15.0
_STOP_S = 1.0


class DemoProcess:
    """A running demo target. It ends with `stop()`, or when this process ends in any way."""

    def __init__(self, process: Process, target: DemoTarget) -> None:
        self._process = process
        self.target = target

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    @classmethod
    async def start(cls) -> "DemoProcess":
        """Start the child and wait until it listens. Raises FatalError if it does not."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "uptimeo.demo.target"),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl+C in the terminal is not for it
        )
        try:
            return cls(process, await _read_target(process))
        except BaseException:
            await _end(process, patience_s=0)
            raise

    async def stop(self) -> None:
        """Close the child's standard input, and kill it if it does not end within a second."""
        await _end(self._process, patience_s=_STOP_S)


async def _read_target(process: Process) -> DemoTarget:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise FatalError(f"the demo target did not start within {_START_S:.0f} s") from error
    if not line:
        raise FatalError("the demo target ended before it listened; its own output says why")
    return DemoTarget(**json.loads(line))


async def _end(process: Process, *, patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            await process.communicate(b"")
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate(b"")
