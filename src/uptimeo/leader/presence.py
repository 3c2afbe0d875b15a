"""Is this agent alive, and what waits in its spool? The loop that reports it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from uptimeo.domain.errors import UptimeoError
from uptimeo.domain.peer import PeerBook
from uptimeo.domain.presence import Presence

_EVERY_S = 10.0


class PresenceBoard(Protocol):
    """Where the reports are seen."""

    async def report(self, presence: Presence) -> PeerBook:
        """Show this report instead of the last one; answers with who else reports there."""

    async def forget(self) -> None:
        """Show that the agent has left."""


class PresenceReporter:
    """Reports every ten seconds and at once when `hurry` is called; an absent database is no news.

    The election already says in the log when the database is away.
    """

    def __init__(
        self,
        *,
        board: PresenceBoard,
        observe: Callable[[], Awaitable[Presence]],
        meet: Callable[[PeerBook], None],
    ) -> None:
        self._board = board
        self._observe = observe
        self._meet = meet
        self._soon = asyncio.Event()

    def hurry(self) -> None:
        """Report now: the leadership has changed."""
        self._soon.set()

    async def run(self) -> None:
        """Report for ever."""
        while True:
            self._soon.clear()
            with suppress(UptimeoError):
                self._meet(await self._board.report(await self._observe()))
            try:
                async with asyncio.timeout(_EVERY_S * random.uniform(0.9, 1.1)):  # noqa: S311
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def stop(self, timeout_s: float) -> None:
        """Leave the board."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._board.forget()
        except (UptimeoError, TimeoutError):
            return
