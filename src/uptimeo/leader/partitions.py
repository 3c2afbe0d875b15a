"""Are there days for the heartbeats to come? The loop that makes partitions ahead of time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import date, timedelta

from uptimeo.domain.errors import UptimeoError
from uptimeo.telemetry import Log

DAYS_AHEAD = 7
_EVERY_S = 3600.0
_RETRY_S = 5.0


class PartitionKeeper:
    """Every agent runs one: the database lets them work one at a time, and only the first does.

    `today` is the day of the database's clock. `ready_until` is the last day that is known to be
    ready; None before the first success.
    """

    def __init__(
        self,
        *,
        make: Callable[[int], Awaitable[list[str]]],
        today: Callable[[], date],
        log: Log,
    ) -> None:
        self._make = make
        self._today = today
        self._log = log
        self.ready_until: date | None = None

    def days_ahead(self) -> int | None:
        """How many days after today are ready, below 0 if today is not; None if not known."""
        return None if self.ready_until is None else (self.ready_until - self._today()).days

    async def run(self) -> None:
        """Make what is missing now and once an hour."""
        while True:
            try:
                today = self._today()
                made = await self._make(DAYS_AHEAD)
                self.ready_until = today + timedelta(days=DAYS_AHEAD)
                if made:
                    self._log.partitions_made(made)
                delay = _EVERY_S
            except UptimeoError as error:
                self._log.partitions_failed(error)
                delay = _RETRY_S
            await asyncio.sleep(delay * random.uniform(0.9, 1.1))  # noqa: S311
