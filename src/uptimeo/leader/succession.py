"""What follows when this agent begins, or ceases, to lead?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from uptimeo.domain.errors import UptimeoError
from uptimeo.domain.monitor import MonitorId

_NOTE_S = 30.0


class Leading(Protocol):
    """The election, as seen from here."""

    def confirmed_term(self) -> tuple[int, UUID] | None:
        """The term and candidate that the database confirmed, while the deadline has not passed."""

    def term(self) -> int | None:
        """The term that is held, confirmed or not."""

    async def changed(self, timeout_s: float) -> None:
        """Return when the term changes, at the latest after the timeout."""


class Succession:
    """A new leader takes up what the last one left: the slots that passed in between.

    It also notes the term on disk, for a restart without a database, and has it announced.
    `note` and `forget` may block; they run in a thread.
    """

    def __init__(
        self,
        *,
        election: Leading,
        note: Callable[[int, UUID], None],
        forget: Callable[[], None],
        latest_slots: Callable[[], Awaitable[Mapping[MonitorId, datetime]]],
        catch_up: Callable[[Mapping[MonitorId, datetime]], None],
        announce: Callable[[], None],
    ) -> None:
        self._election = election
        self._note = note
        self._forget = forget
        self._latest_slots = latest_slots
        self._catch_up = catch_up
        self._announce = announce
        self._caught_up: int | None = None

    async def run(self) -> None:
        """Follow the election for ever."""
        known: int | None = None
        while True:
            term = self._election.term()
            if term != known:
                self._announce()
            if term is None and known is not None:
                await asyncio.to_thread(self._forget)
            known = term
            await self._keep()
            await self._election.changed(_NOTE_S)

    async def stop(self) -> None:
        """The lease was given back: nothing is left to resume."""
        await asyncio.to_thread(self._forget)

    async def _keep(self) -> None:
        confirmed = self._election.confirmed_term()
        if confirmed is None:
            return
        if confirmed[0] != self._caught_up:
            try:
                self._catch_up(await self._latest_slots())
            except UptimeoError:
                return
            self._caught_up = confirmed[0]
        await asyncio.to_thread(self._note, *confirmed)
