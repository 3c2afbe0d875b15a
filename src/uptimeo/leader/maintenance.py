"""What has to be done once for the whole installation, and may this agent do it, now?"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from uptimeo.leader.elector import LeaseTiming, Standing
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import Log

# Nothing here is urgent, and every agent of the installation asks.
MAINTENANCE_TIMING = LeaseTiming(ttl=30.0, renew=10.0, poll=15.0, call=5.0, margin=3.2)
# How soon a deadline that has passed is seen: far less than the margin.
_LOOK_S = 1.0
_FIRST_RETRY_S = 5.0
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Some work that is due every so often. It may be cut off anywhere, and be begun again."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]


class Tenure(Protocol):
    """Whether this agent holds the lease of maintenance."""

    def standing(self) -> Standing | None:
        """The term that is held, as far as it is known."""

    async def changed(self, timeout_s: float) -> None:
        """Return when the standing changes, at the latest after the timeout."""


class Maintenance:
    """Runs every chore, each at its own pace, while the lease is held and its deadline ahead."""

    def __init__(self, *, tenure: Tenure, chores: Sequence[Chore], log: Log) -> None:
        self._tenure = tenure
        self._chores = chores
        self._log = log

    async def run(self) -> None:
        """Do what is due, for ever; all at once whenever the lease is won."""
        while True:
            while not self._holds():
                await self._tenure.changed(_LOOK_S)
            tasks = [
                asyncio.create_task(self._repeat(chore), name=f"chore-{chore.name}")
                for chore in self._chores
            ]
            try:
                while self._holds():
                    await self._tenure.changed(_LOOK_S)
            finally:
                await cancel_all(tasks, _PATIENCE_S)

    def _holds(self) -> bool:
        held = self._tenure.standing()
        return held is not None and held.confirmed

    async def _repeat(self, chore: Chore) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                await chore.run()
                delay, retry_s = chore.every_s, _FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001 - a chore that is broken ends no checks
                delay = retry_s
                self._log.chore_failed(chore.name, error, delay)
                retry_s = min(retry_s * 2, chore.every_s)
            await asyncio.sleep(delay * random.uniform(0.9, 1.1))  # noqa: S311
