"""Are there days for the heartbeats to come? The loop that makes partitions ahead of time."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from uptimeo.domain.errors import UptimeoError
from uptimeo.telemetry import Log

_EVERY_S = 3600.0
_RETRY_S = 5.0


class PartitionKeeper:
    """Every agent runs one: the database lets them work one at a time, and only the first does."""

    def __init__(self, *, make: Callable[[], Awaitable[list[str]]], log: Log) -> None:
        self._make = make
        self._log = log

    async def run(self) -> None:
        """Make what is missing now and once an hour."""
        while True:
            try:
                if made := await self._make():
                    self._log.partitions_made(made)
                delay = _EVERY_S
            except UptimeoError as error:
                self._log.partitions_failed(error)
                delay = _RETRY_S
            await asyncio.sleep(delay * random.uniform(0.9, 1.1))  # noqa: S311
