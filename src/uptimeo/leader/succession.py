"""What follows when this agent begins, or ceases, to lead?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from uptimeo.domain.errors import UptimeoError
from uptimeo.domain.monitor import MonitorId
from uptimeo.leader.elector import Standing

_NOTE_S = 30.0
_AGAIN_S = 0.25


class Leading(Protocol):
    """The election, as seen from here."""

    def standing(self) -> Standing | None:
        """The term that is held, confirmed or not."""

    async def changed(self, timeout_s: float) -> None:
        """Return when the term or its confirmation changes, at the latest after the timeout."""


class Succession:
    """A new leader takes up what the last one left: the slots that passed in between.

    It also notes the term on disk, for a restart without a database, and has it announced.
    `note` and `forget` may block; they run in a thread. `catch_up` may have come too late for the
    term that it was asked for: false, and it is asked again.
    """

    def __init__(
        self,
        *,
        election: Leading,
        note: Callable[[Standing], None],
        forget: Callable[[], None],
        latest_slots: Callable[[], Awaitable[Mapping[MonitorId, datetime]]],
        catch_up: Callable[[Mapping[MonitorId, datetime]], bool],
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
            held = self._election.standing()
            term = None if held is None else held.term
            if term != known:
                self._announce()
            if held is not None:
                await self._keep(held)
            elif known is not None:
                await asyncio.to_thread(self._forget)
            known = term
            waiting = held is not None and held.confirmed and held.term != self._caught_up
            await self._election.changed(_AGAIN_S if waiting else _NOTE_S)

    async def stop(self) -> None:
        """The lease was given back: nothing is left to resume."""
        await asyncio.to_thread(self._forget)

    async def _keep(self, held: Standing) -> None:
        await asyncio.to_thread(self._note, held)
        if held.confirmed and held.term != self._caught_up:
            with suppress(UptimeoError):
                if self._catch_up(await self._latest_slots()):
                    self._caught_up = held.term
