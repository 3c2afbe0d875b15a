"""When are the config tables to be read again?"""

import asyncio
import random
from contextlib import suppress
from typing import Protocol

from uptimeo.domain.errors import UptimeoError
from uptimeo.telemetry import Log

_RETRY_S = 1.0


class Notices(Protocol):
    """The database's notices of a change."""

    work: bool | None

    async def listen(self) -> None:
        """Be ready for notices; raises TransientError while the database is away."""

    async def wait(self, timeout_s: float) -> bool:
        """Return at a notice, at the latest after the timeout; raises TransientError if cut."""


class ChangeFeed:
    """Every notice at once, and every `poll_s` seconds in case one was lost."""

    def __init__(self, *, notices: Notices, poll_s: float, log: Log) -> None:
        self._notices = notices
        self._poll_s = poll_s
        self._log = log
        self._told: bool | None = None

    async def listen(self) -> None:
        """Be ready: a change from now on ends the next `wait`, if notices arrive at all."""
        with suppress(UptimeoError):
            await self._notices.listen()
            if self._notices.work is not None and self._notices.work is not self._told:
                self._log.notifications(work=self._notices.work, poll_s=self._poll_s)
                self._told = self._notices.work

    async def wait(self) -> None:
        """Until the tables may have changed."""
        try:
            await self._notices.wait(self._poll_s * random.uniform(0.9, 1.0))  # noqa: S311
        except UptimeoError:
            await asyncio.sleep(min(_RETRY_S, self._poll_s))
