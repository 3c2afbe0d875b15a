"""Is there room for the rows to come, and are those that are too old gone? Two chores."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from uptimeo.domain.errors import UptimeoError
from uptimeo.domain.partition import Dropped, Dropping, Hold
from uptimeo.leader.maintenance import Chore
from uptimeo.telemetry import Log

_EVERY_S = 3600.0
_ENOUGH_DAYS = 3
_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 600.0


class Partitions(Protocol):
    """The tables that are cut by time."""

    async def parents(self) -> list[str]:
        """Their names."""

    async def ensure(self, parent: str) -> list[str]:
        """Make the partitions that are missing; answers with their names."""

    async def days_ahead(self) -> Mapping[str, int]:
        """For how many whole days after today each table has room."""

    async def drop_expired(self, parent: str) -> Dropped:
        """Drop the oldest partition if it is old enough, without waiting for anybody."""

    async def expire_history(self) -> int:
        """Delete some of what is too old and in no partition; how many rows it was."""

    async def held(self) -> Hold | None:
        """Why nothing of any table is dropped; None if it is."""


class PartitionChores:
    """`days_ahead` is as of the last time this agent made partitions; empty before.

    `held` says whether nothing was dropped since the database's clock is not believed, as of the
    last time this agent asked; None before.
    """

    def __init__(
        self, *, partitions: Partitions, log: Log, first_pause_s: float = _FIRST_PAUSE_S
    ) -> None:
        self._partitions = partitions
        self._log = log
        self._first_pause_s = first_pause_s
        self.days_ahead: Mapping[str, int] = {}
        self.held: bool | None = None

    def chores(self) -> list[Chore]:
        """Both, once an hour."""
        return [
            Chore(name="partitions", every_s=_EVERY_S, run=self.make),
            Chore(name="retention", every_s=_EVERY_S, run=self.drop),
        ]

    async def make(self) -> None:
        """Make what is missing of every table, and complain of those that still have too little.

        Raises the first error once every table has been tried.
        """
        failed: list[UptimeoError] = []
        for parent in await self._partitions.parents():
            try:
                if made := await self._partitions.ensure(parent):
                    self._log.partitions_made(made)
            except UptimeoError as error:
                failed.append(error)
        self.days_ahead = await self._partitions.days_ahead()
        for parent, days in self.days_ahead.items():
            if days < _ENOUGH_DAYS:
                self._log.partitions_short(parent, days)
        if failed:
            raise failed[0]

    async def drop(self) -> None:
        """Drop all that is too old; a table that is being read is tried again, ever later.

        Raises the first error once every table has been tried.
        """
        while await self._partitions.expire_history():
            pass
        hold = await self._partitions.held()
        self.held = hold is not None
        if hold is not None:
            self._log.retention_held(hold)
            return
        waiting, failed = await self._partitions.parents(), []
        pause_s = self._first_pause_s
        while waiting:
            busy = []
            for parent in waiting:
                try:
                    if not await self._dropped(parent, pause_s):
                        busy.append(parent)
                except UptimeoError as error:
                    failed.append(error)
            if waiting := busy:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LAST_PAUSE_S)
        if failed:
            raise failed[0]

    async def _dropped(self, parent: str, pause_s: float) -> bool:
        """Whether nothing of the table is left to drop."""
        while True:
            done = await self._partitions.drop_expired(parent)
            if done.outcome is not Dropping.DROPPED:
                break
            self._log.partition_dropped(str(done.partition))
        if done.outcome is Dropping.BUSY:
            self._log.retention_delayed(str(done.partition), pause_s)
        return done.outcome is not Dropping.BUSY
