"""Is everything rolled up that has passed? The chore that works off what waits."""

from collections.abc import Callable
from typing import Protocol

from uptimeo.telemetry import Log

# How many buckets go into one transaction, by the minutes in them: late heartbeats for these
# buckets wait until it ends.
_STEPS = {5: 6, 60: 2, 1440: 1}
# After so many seconds the other chores have their turn; what is left waits for the next run.
_BUDGET_S = 60.0


class Rollups(Protocol):
    """What the chore needs of the database."""

    async def step(self, level: int, limit: int) -> int:
        """Roll up some buckets of a level; 0: nothing waits, or another roller is at it."""

    async def waiting(self, level: int) -> int:
        """How many buckets of a level wait."""

    async def reconcile_duty(self) -> int:
        """Note changes of duty that the database's triggers could not see."""


class RollupChore:
    """One run works off what is there, in short transactions; any number may run at once."""

    def __init__(self, *, rollups: Rollups, now: Callable[[], float], log: Log) -> None:
        self._rollups = rollups
        self._now = now
        self._log = log
        self._behind = False

    async def run(self) -> None:
        """Roll up what has passed or was marked, for a minute at most.

        Raises TransientError when the database does not answer: what was committed stays.
        """
        if changes := await self._rollups.reconcile_duty():
            self._log.duty_reconciled(changes)
        deadline = self._now() + _BUDGET_S
        rolled = [await self._work_off(level, deadline) for level in _STEPS]
        await self._tell(sum(rolled), deadline)

    async def _work_off(self, level: int, deadline: float) -> int:
        total = 0
        while self._now() < deadline:
            done = await self._rollups.step(level, _STEPS[level])
            if not done:
                break
            total += done
        return total

    async def _tell(self, rolled: int, deadline: float) -> None:
        if rolled:
            self._log.rolled_up(rolled)
        behind = self._now() >= deadline
        if behind:
            self._log.rollups_behind(sum([await self._rollups.waiting(level) for level in _STEPS]))
        elif self._behind:
            self._log.rollups_behind(0)
        self._behind = behind
