"""The chore looks for unusual heartbeats, and remembers what it saw."""

import pytest

from uptimeo.domain.errors import TransientError
from uptimeo.leader.unusual import UnusualChore


class Heartbeats:
    """Some unusual ones, or no answer."""

    def __init__(self) -> None:
        self.found = {("LON", "more than were due"): 2}
        self.away = False

    async def counts(self) -> dict[tuple[str, str], int]:
        if self.away:
            raise TransientError("away")
        return dict(self.found)


async def test_before_it_looked_nothing_is_known() -> None:
    assert UnusualChore(Heartbeats()).counts is None


async def test_each_look_replaces_what_was_seen_before() -> None:
    heartbeats = Heartbeats()
    chore = UnusualChore(heartbeats)
    (work,) = chore.chores()

    await work.run()
    first = chore.counts
    heartbeats.found.clear()
    await work.run()

    assert first == {("LON", "more than were due"): 2}
    assert chore.counts == {}


async def test_what_was_seen_stays_while_the_database_is_away() -> None:
    heartbeats = Heartbeats()
    chore = UnusualChore(heartbeats)
    await chore.look()
    heartbeats.away = True

    with pytest.raises(TransientError):
        await chore.look()

    assert chore.counts == heartbeats.found
