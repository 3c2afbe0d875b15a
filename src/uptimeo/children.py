"""How is a process of our own started that says what it has, and ends when we do?

The parent's side is `Child`; `announce` and `ended` are the child's.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from uptimeo.domain.errors import FatalError

_START_S = 15.0
_STOP_S = 1.0
_STDIN = 0


class Child:
    """A running module of ours. It ends with `stop()`, or when this process ends in any way.

    `announced` is the object that it printed when it was ready.
    """

    def __init__(self, process: Process, announced: Mapping[str, Any]) -> None:
        self.process = process
        self.announced = announced

    @classmethod
    async def start(cls, module: str, *arguments: str, what: str) -> "Child":
        """Start it and wait until it announces itself. Raises FatalError if it does not.

        `what` is how an error names it, such as "the demo target".
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl+C in the terminal is not for it
        )
        try:
            return cls(process, await _read(process, what))
        except BaseException:
            await _end(process, patience_s=0)
            raise

    async def stop(self) -> bytes:
        """Close its standard input, and kill it if it does not end within a second.

        Answers with what else it has printed.
        """
        return await _end(self.process, patience_s=_STOP_S)


async def _read(process: Process, what: str) -> Mapping[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise FatalError(f"{what} did not start within {_START_S:.0f} s") from error
    if not line:
        raise FatalError(f"{what} ended before it listened; its own output says why")
    found: Mapping[str, Any] = json.loads(line)
    return found


async def _end(process: Process, patience_s: float) -> bytes:
    try:
        async with asyncio.timeout(patience_s):
            said, _ = await process.communicate(b"")
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        said, _ = await process.communicate(b"")
    return said


def announce(found: Mapping[str, Any]) -> None:
    """Tell the parent that this process is ready, and what it has."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def ended() -> asyncio.Event:
    """An event that is set by SIGTERM, SIGINT, or the end of standard input."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def read_to_the_end() -> None:
        with suppress(OSError):
            while os.read(_STDIN, 4096):
                pass
        with suppress(RuntimeError):  # the loop is closed: a signal came first
            loop.call_soon_threadsafe(stopped.set)

    # A thread, because the loop can watch neither a file nor /dev/null as standard input.
    threading.Thread(target=read_to_the_end, name="stdin", daemon=True).start()
    return stopped
