"""What stands in a test where the database, the disk and the log stand in an agent?"""

import asyncio
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.heartbeat import Ingested
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spooled import Spooled
from uptimeo.telemetry import HeartbeatLog, json_log

PATIENCE_S = 20.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another task or thread will bring about; fail after a generous time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


class LogBook:
    """A log that can be read back."""

    def __init__(
        self, *, level: str = "DEBUG", heartbeats: HeartbeatLog = HeartbeatLog.ALL, **fixed: Any
    ) -> None:
        self.stream = io.StringIO()
        self.log = json_log(self.stream, level=level, heartbeats=heartbeats, **fixed)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """What was written, in order; of one event if that is given."""
        parsed = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in parsed if event in (None, line["event"])]

    def events(self) -> list[str]:
        """The names of what was written, in order."""
        return [line["event"] for line in self.lines()]


class FakeSink:
    """A database for heartbeats that keeps what it is sent, and fails as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.batches: list[list[str]] = []
        self.refused: list[tuple[str, str]] = []
        self.down = False
        self.lost_answers = 0
        self.hangs = False
        self.refuses: Callable[[str], bool] = lambda body: False

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        self.calls += 1
        await asyncio.sleep(0)
        await self._misbehave()
        if bad := [body for body in bodies if self.refuses(body)]:
            raise RejectedError(f"the database refuses {bad[0]}")
        self.batches.append(list(bodies))
        if self.lost_answers:
            self.lost_answers -= 1
            raise TransientError("stored, but the connection was lost before the answer")
        await asyncio.sleep(0)
        return Ingested(inserted=len(bodies), duplicate=0, set_aside={})

    async def set_aside(self, body: str, reason: str) -> None:
        await self._misbehave()
        self.refused.append((body, reason))

    def stored(self) -> list[str]:
        """Every row in the order in which it was stored, doubles included."""
        return [body for batch in self.batches for body in batch]

    def slots(self) -> list[tuple[int, str]]:
        """The natural keys of what was stored: monitor and slot."""
        rows = (json.loads(body) for body in self.stored())
        return [(row["monitor_id"], row["scheduled_at"]) for row in rows]

    async def _misbehave(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise TransientError("the database is away")


class FaultySpool(Spool):
    """A spool on a real directory whose disk refuses the operations named in `broken`.

    While `go_on` is clear, an append waits in the disk's thread before it fails or succeeds.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.broken: set[str] = set()
        self.attempts = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def append(self, bodies: Sequence[str]) -> None:
        self.attempts += 1
        self.go_on.wait(PATIENCE_S)
        self._fail("append")
        super().append(bodies)

    def newest(self, limit: int) -> list[Spooled]:
        self._fail("newest")
        return super().newest(limit)

    def remove(self, sent: Sequence[Spooled]) -> None:
        self._fail("remove")
        super().remove(sent)

    def depth(self) -> int:
        self._fail("depth")
        return super().depth()

    def reopen(self) -> None:
        self._fail("reopen")
        super().reopen()

    def _fail(self, operation: str) -> None:
        if operation in self.broken:
            raise sqlite3.OperationalError("disk I/O error")
