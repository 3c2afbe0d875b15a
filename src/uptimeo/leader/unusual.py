"""Are there heartbeats that an agent in order does not make? The chore that looks."""

from collections.abc import Mapping
from typing import Protocol

from uptimeo.leader.maintenance import Chore

_EVERY_S = 1800.0


class UnusualHeartbeats(Protocol):
    """What the chore needs of the database."""

    async def counts(self) -> Mapping[tuple[str, str], int]:
        """How many, by the datacenter that sent them and by kind."""


class UnusualChore:
    """`counts` is as of the last time this agent looked; None before."""

    def __init__(self, heartbeats: UnusualHeartbeats) -> None:
        self._heartbeats = heartbeats
        self.counts: Mapping[tuple[str, str], int] | None = None

    def chores(self) -> list[Chore]:
        """One, twice an hour: rollups of hours tell, and there are many."""
        return [Chore(name="unusual_heartbeats", every_s=_EVERY_S, run=self.look)]

    async def look(self) -> None:
        """Count them anew."""
        self.counts = await self._heartbeats.counts()
