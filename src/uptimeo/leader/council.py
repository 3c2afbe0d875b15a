"""What do the other agents of the datacenter object, when this one leads without a database?

Pure. Times are seconds on this host's monotonic clock. A word is dated by when it was asked for,
which is before it was said.
"""

import math
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
    """The last word of each other agent.

    Silence is no objection: an agent that is dead looks the same as one that cannot be heard.
    """

    def __init__(self) -> None:
        self._words: dict[UUID, tuple[float, Word]] = {}
        self._answered_at = -math.inf

    def hear(self, speaker: UUID, asked_at: float, word: Word) -> None:
        """Take in a word, unless a later one of the same speaker is known."""
        known = self._words.get(speaker)
        if known is None or known[0] <= asked_at:
            self._words[speaker] = (asked_at, word)

    def answered(self, now: float) -> None:
        """The database has answered this agent: what was objected before is void."""
        self._answered_at = now
        self._words = {
            speaker: (asked_at, word)
            for speaker, (asked_at, word) in self._words.items()
            if now - asked_at < DOUBT_S
        }

    def answers(self, since: float) -> int:
        """How many others have answered what they were asked since then."""
        return sum(asked_at >= since for asked_at, _ in self._words.values())

    def has_rival(self, now: float) -> bool:
        """Whether another one was heard a moment ago to lead without the database.

        It hears of the new leader with its next question, and gives up. The lease of a term that
        was given back is free at once; nothing else keeps the two apart.
        """
        return any(
            word.holds and word.answered_ago_s is None and now - asked_at < DOUBT_S
            for asked_at, word in self._words.values()
        )

    def objection(self, now: float, term: int, cut_since: float) -> Objection:
        """Against going on with `term`, by one whom the database answers no more since then."""
        ranks = list(Objection)
        found = [
            _judge(word, now, asked_at, term, cut_since)
            for asked_at, word in self._words.values()
            if asked_at >= self._answered_at
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
