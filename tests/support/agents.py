"""The installed command in subprocesses, and what it says and stores."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("uptimeo"))
PATIENCE_S = 30.0


class Running:
    """A running `uptimeo`, its log lines as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._grew = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first line with that event and those fields; waits for it."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": name, **fields}
            return next((line for line in self.lines if wanted.items() <= line.items()), None)

        return await self.until(found, f"the event {name} {fields}")

    async def until(self, answer: Callable[[], dict[str, Any] | None], what: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE_S), self._grew:
                await self._grew.wait_for(lambda: answer() is not None)
        except TimeoutError:
            tail = "\n".join(json.dumps(line) for line in self.lines[-20:])
            raise AssertionError(f"{what} did not come; the last lines were:\n{tail}") from None
        result = answer()
        assert result is not None
        return result

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code, once it has ended and its last line is read."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
            await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._grew:
                self.lines.append(json.loads(line))
                self._grew.notify_all()


@asynccontextmanager
async def running(
    *arguments: str, wrap: Sequence[str] = (), **environment: str
) -> AsyncIterator[Running]:
    """`uptimeo` with these arguments and variables; killed at the end if it still runs.

    `wrap` is a command that runs it by exec, such as `ip netns exec NAME`: signals reach it.
    """
    process = await asyncio.create_subprocess_exec(
        *wrap,
        COMMAND,
        *arguments,
        env=_environment(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=None,
    )
    started = Running(process)
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await started.ended()


async def output(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *arguments,
        env=_environment(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _environment(own: dict[str, str]) -> dict[str, str]:
    inherited = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"}
    kept = {key: value for key, value in os.environ.items() if key in inherited}
    # Every target of a test is on this host.
    return {**kept, "COLUMNS": "100", "UPTIMEO_FORBIDDEN_NETWORKS": "none", **own}
