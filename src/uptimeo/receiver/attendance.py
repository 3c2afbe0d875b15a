"""Since when has this receiver been able to take signals without a break?"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

from uptimeo.domain.errors import TransientError
from uptimeo.telemetry import Log

_EVERY_S = 5.0
_RETRY_S = 1.0
_ANSWER_S = 3.0


class AttendanceBook(Protocol):
    """Where receivers say that they are there."""

    async def attend(self, receiver: str, stretch: int | None) -> int:
        """Go on with a stretch of time, or begin one; its id. Raises TransientError."""


class Attendance:
    """Tells the database every five seconds that this receiver is there.

    A signal that could not be stored ends the stretch: what came before the next one began may
    be lost, and no job is called silent for that time.
    """

    def __init__(self, book: AttendanceBook, receiver: str, log: Log) -> None:
        self._book = book
        self._receiver = receiver
        self._log = log
        self._stretch: int | None = None
        self._lost = 0
        self._away = False
        self._hurry = asyncio.Event()

    @property
    def present(self) -> bool:
        """Whether signals can be stored, as far as is known."""
        return self._stretch is not None

    def interrupt(self) -> None:
        """A signal could not be stored."""
        self._stretch = None
        self._lost += 1
        self._hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._hurry.clear()
            await self.tell()
            if self._stretch is None:
                await asyncio.sleep(_RETRY_S)
                continue
            await _waited(self._hurry.wait(), _EVERY_S)

    async def tell(self) -> None:
        """Say it once, now."""
        lost = self._lost
        try:
            async with asyncio.timeout(_ANSWER_S):
                stretch = await self._book.attend(self._receiver, self._stretch)
            self._stretch = stretch if lost == self._lost else None
        except (TransientError, TimeoutError) as error:
            self._stretch = None
            self._report(error)
        else:
            self._report(None)

    def _report(self, error: Exception | None) -> None:
        if (error is not None) != self._away:
            self._away = error is not None
            self._log.receiver_reaches_database(error)


async def _waited(what: Awaitable[object], longest_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await what
