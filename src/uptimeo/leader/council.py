"""What do the other agents of the datacenter object, when this one leads without a database?

Pure. Times are seconds on this host's monotonic clock. A word is dated by when it was asked for,
which is before it was said.
"""

from enum import Enum
from uuid import UUID

from uptimeo.domain.peer import Word

# A word that claims the database, without proof that it answered after our cut, holds that long.
# Longer than a request may be under way: one sent before the cut may still win the lease.
DOUBT_S = 1.5


class Objection(Enum):
    """The strongest thing that any other agent says against going on."""

    NONE = "none"
    DOUBT = "doubt"
    REACHED = "reached"
    SUPERSEDED = "superseded"


class Council:
    """The last word of each other agent since the database last answered this one.

    Silence is no objection: an agent that is dead looks the same as one that cannot be heard.
    """

    def __init__(self) -> None:
        self._words: dict[UUID, tuple[float, Word]] = {}

    def hear(self, speaker: UUID, asked_at: float, word: Word) -> None:
        """Take in a word, unless a later one of the same speaker is known."""
        known = self._words.get(speaker)
        if known is None or known[0] <= asked_at:
            self._words[speaker] = (asked_at, word)

    def forget(self) -> None:
        """The database has answered: what was said before is void."""
        self._words.clear()

    def objection(self, now: float, term: int, cut_since: float) -> Objection:
        """Against going on with `term`, by one whom the database answers no more since then."""
        ranks = list(Objection)
        found = [
            _judge(word, now, asked_at, term, cut_since) for asked_at, word in self._words.values()
        ]
        return max(found, key=ranks.index, default=Objection.NONE)


def _judge(word: Word, now: float, asked_at: float, term: int, cut_since: float) -> Objection:
    if word.term > term or (word.holds and word.term == term):
        return Objection.SUPERSEDED
    if word.answered_ago_s is None:
        return Objection.NONE
    if asked_at - word.answered_ago_s > cut_since:
        return Objection.REACHED  # it answered another one when it no longer answered us
    return Objection.DOUBT if now - asked_at < DOUBT_S else Objection.NONE
