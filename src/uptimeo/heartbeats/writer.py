"""How does a heartbeat get from a finished check into PostgreSQL, within a second and only once?

Two loops: `commit` moves heartbeats from memory to the spool in groups, `send` moves them from
the spool to PostgreSQL in batches and forgets them only after its commit.
"""

import asyncio
import json
import math
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.heartbeat import Heartbeat, Ingested, to_wire
from uptimeo.domain.presence import SpoolState
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spooled import Spooled
from uptimeo.telemetry import Log

_GROUP_S = 0.05
# Between the beginnings of two sends. A transaction takes up to 380 bytes of the write-ahead log
# for itself, beside an fsync: a heartbeat alone is 661 bytes there, one of ten 297, of a hundred
# 282 (`python -m tests.evidence.database batches`).
_APART_S = 0.5
_LIVE = 500
_BACKFILL = 1000
_MAX_IN_MEMORY = 10_000
_FIRST_RETRY_S = 0.25
_LAST_RETRY_S = 10.0

T = TypeVar("T")


class Sink(Protocol):
    """Where batches go."""

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        """Store a batch in one transaction.

        Raises RejectedError if a row of it is refused as data, TransientError if the outcome is
        a failure or unknown: sending the batch again is then right and harmless.
        """

    async def set_aside(self, body: str, reason: str) -> None:
        """Keep one refused row where people can read it; raises as `ingest` does."""


class HeartbeatWriter:
    """Takes heartbeats from the checks at once and stores them in the background.

    `sound` is false from an error of the spool until it has taken heartbeats again.
    """

    def __init__(self, *, spool: Spool, sink: Sink, log: Log, disk: Executor | None = None) -> None:
        self._spool = spool
        self._sink = sink
        self._log = log
        self._memory: list[str] = []
        self._dropped = 0
        self._dropped_ever = 0
        self._thinned_told = 0
        self._state = SpoolState(rows=0, bytes=0, dropped=0)
        self.sound = True
        self._stocktaking = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._spooled = asyncio.Event()
        self._spooled.set()  # an earlier run may have left some
        self._hurry = asyncio.Event()
        self._joined = 0  # on the disk since a batch was read last; the disk's thread counts
        # SQLite's fsync may take long: never on the event loop. One thread keeps the order.
        self._disk = disk or ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    def put(self, heartbeat: Heartbeat) -> None:
        """Take a heartbeat; never blocks. Beyond 10,000 in memory it is dropped, and counted."""
        if len(self._memory) >= _MAX_IN_MEMORY:
            self._dropped += 1
            return
        self._memory.append(to_wire(heartbeat))
        self._arrived.set()

    async def commit(self) -> None:
        """Move heartbeats from memory to disk, for ever."""
        await self._take_stock()
        while True:
            await self._arrived.wait()
            await self._commit_group()
            await asyncio.sleep(_GROUP_S)

    async def send(self) -> None:
        """Move heartbeats from disk to PostgreSQL, for ever.

        What comes after a pause is sent at once, what comes in a stream in company: a batch begins
        half a second after the one before, sooner only if 500 wait, or a backlog, or it failed.
        """
        retry_s, began = _FIRST_RETRY_S, -math.inf
        while True:
            await self._spooled.wait()
            await self._let_others_join(began + _APART_S)
            began = asyncio.get_running_loop().time()
            try:
                await self._send_batch()
                retry_s = _FIRST_RETRY_S
                continue
            except TransientError as error:
                self._log.heartbeats_unsent(await self._unsent(), error, retry_s)
            except sqlite3.Error as error:
                await self._recover(error)
            await asyncio.sleep(retry_s * random.uniform(0.8, 1.2))  # noqa: S311
            retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def finish(self, timeout_s: float) -> int:
        """Save everything to disk, send what can be sent in time; answers with what is left."""
        await self._commit_group()
        self._spooled.set()
        try:
            async with asyncio.timeout(timeout_s):
                while self._spooled.is_set():
                    await self._send_batch()
        except (TimeoutError, TransientError, sqlite3.Error) as error:
            self._log.heartbeats_unsent(await self._unsent(), error, 0.0)
        return await self._unsent()

    async def state(self) -> SpoolState:
        """What waits, in memory and on disk; while the spool cannot be read, what waited last."""
        with suppress(sqlite3.Error):
            self._state = await self._on_disk(self._look)
        return self._state

    def _look(self) -> SpoolState:
        """In the disk's thread."""
        oldest = self._spool.oldest(1)
        return SpoolState(
            rows=self._spool.depth() + len(self._memory),
            bytes=self._spool.size(),
            dropped=self._dropped_ever + self._spool.dropped,
            oldest_at=_executed_at(oldest[0]) if oldest else None,
        )

    async def aclose(self) -> None:
        """Close the spool."""
        await self._on_disk(self._spool.close)
        self._disk.shutdown()

    async def _let_others_join(self, until: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._hurry.wait()

    async def _commit_group(self) -> None:
        self._arrived.clear()
        if self._dropped:
            self._log.heartbeats_dropped(self._dropped)
            self._dropped_ever += self._dropped
            self._dropped = 0
        try:
            await self._on_disk(self._save)
        except sqlite3.Error as error:
            self._arrived.set()
            await self._recover(error)
            await asyncio.sleep(_FIRST_RETRY_S)
        else:
            self._spooled.set()
            if self._joined >= _LIVE:
                self._hurry.set()
            self.sound = True
        if self._spool.dropped > self._thinned_told:
            self._log.heartbeats_thinned(self._spool.dropped - self._thinned_told)
            self._thinned_told = self._spool.dropped

    def _save(self) -> None:
        """In the disk's thread. Memory forgets only what is safe, so no cancellation loses it."""
        if group := self._memory[:]:
            self._spool.append(group)
            del self._memory[: len(group)]
            self._joined += len(group)

    def _newest(self) -> list[Spooled]:
        """In the disk's thread."""
        self._joined = 0
        return self._spool.newest(_LIVE)

    async def _recover(self, error: sqlite3.Error) -> None:
        """After an error of the spool; what it held may now be in a file that was moved aside."""
        self._log.spool_failed(error)
        self.sound = False
        with suppress(sqlite3.Error, OSError):
            await self._on_disk(self._spool.reopen)
            await self._take_stock()

    async def _take_stock(self) -> None:
        """Salvage what damage has left, then tell how much it has not."""
        async with self._stocktaking:  # both loops recover
            try:
                for damaged in self._spool.asides():
                    await self._salvage(damaged)
                await self._tell_loss()
            except sqlite3.Error as error:  # what is left is for the next time
                self._log.spool_failed(error)

    async def _salvage(self, damaged: Path) -> None:
        """Bring what can be read of a damaged file into the new one, a group at a time."""
        self._log.spool_moved_aside(str(damaged))
        saved, groups = 0, self._spool.salvage(damaged)
        while (group := await self._on_disk(lambda: next(groups, None))) is not None:
            if group:
                await self._on_disk(lambda rows=group: self._spool.restore(damaged, rows))  # type: ignore[misc]
                saved += sum(row.sound for row in group)
                self._more_waits()
        await self._on_disk(lambda: self._spool.abandon(damaged))
        self._log.spool_salvaged(str(damaged), saved)

    async def _tell_loss(self) -> None:
        """Once at least: it is settled after it was told."""
        if (loss := self._spool.loss()) is not None:
            self._log.spool_lost(rows=loss.rows, exact=loss.exact)
            self._dropped_ever += loss.rows
            await self._on_disk(self._spool.settle)

    async def _unsent(self) -> int:
        try:
            return len(self._memory) + await self._on_disk(self._spool.depth)
        except sqlite3.Error:
            return len(self._memory)

    async def _send_batch(self) -> None:
        self._spooled.clear()  # before the read: what is committed after it sets the event again
        self._hurry.clear()
        try:
            live = await self._on_disk(self._newest)
            if live:
                await self._deliver(live)
            if len(live) == _LIVE:  # a backlog: what is new goes first, then a part of what waits
                await self._deliver(await self._on_disk(lambda: self._spool.oldest(_BACKFILL)))
        except (TransientError, sqlite3.Error):
            self._more_waits()
            raise
        if len(live) == _LIVE:
            self._more_waits()

    def _more_waits(self) -> None:
        """What waits already needs no more company."""
        self._spooled.set()
        self._hurry.set()

    async def _deliver(self, batch: Sequence[Spooled]) -> None:
        """Store a batch; what was damaged on disk is set aside before it is sent."""
        readable = {}
        for row in batch:
            if not row.sound:
                await self._refuse(row, f"damaged on disk: the checksum of row {row.seq} is wrong")
            elif (fields := _fields(row.body)) is None:
                await self._refuse(row, "not a heartbeat")
            else:
                readable[row] = fields
        if readable:
            await self._store(readable)

    async def _store(self, batch: Mapping[Spooled, dict[str, Any]]) -> None:
        """Store rows; halve a batch that is refused until the bad row stands alone."""
        rows = list(batch)
        try:
            done = await self._sink.ingest([row.body for row in rows])
        except RejectedError as error:
            if len(rows) == 1:
                await self._refuse(rows[0], str(error))
                return
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                await self._store({row: batch[row] for row in half})
            return
        await self._on_disk(lambda: self._spool.remove(rows))
        for position, row in enumerate(rows):
            if (reason := done.set_aside.get(position)) is not None:
                self._log.heartbeat_set_aside(reason)
            else:
                self._log.heartbeat_inserted(batch[row])

    async def _refuse(self, row: Spooled, reason: str) -> None:
        """One bad row never holds the others up: it is kept on disk and shown in the database."""
        await self._on_disk(lambda: self._spool.set_aside(row, reason))
        self._log.heartbeat_set_aside(reason)
        try:
            await self._sink.set_aside(row.body, reason)
        except (RejectedError, TransientError):
            return

    async def _on_disk(self, work: Callable[[], T]) -> T:
        # Shielded: a cancelled loop must not take a queued write with it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._disk, work))


def _executed_at(row: Spooled) -> datetime | None:
    fields = _fields(row.body) if row.sound else None
    try:
        return None if fields is None else datetime.fromisoformat(fields["executed_at"])
    except (KeyError, TypeError, ValueError):
        return None


def _fields(body: str) -> dict[str, Any] | None:
    """The wire form as fields; None for what only damage can have made of it."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    named = isinstance(fields, dict) and {"monitor_id", "status"} <= fields.keys()
    return fields if named else None
