"""May this agent lead, now? The rules of the lease, without I/O and without a clock.

A lease row in the database has a term and a sequence number. Times here are seconds on a
monotonic clock of this host that counts suspend; only the database compares its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from uptimeo.domain.errors import FatalError
from uptimeo.domain.lease import LeaseAnswer, LeaseRequest


class OfflineMode(Enum):
    """What the last leader does while nobody reaches the database."""

    CONTINUE = "continue"
    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """Seconds. A crash is taken over after at most ttl + 2 * poll + one round trip."""

    ttl: float = 3.0
    renew: float = 1.0
    poll: float = 0.25
    call: float = 1.0
    margin: float = 0.5

    def __post_init__(self) -> None:
        """Refuse timings under which two may lead or one lost renewal ends a term."""
        if self.renew + self.call + 0.25 > self.ttl - self.margin:
            raise FatalError(
                f"lease timing: renew {self.renew} s + call {self.call} s + 0.25 s exceeds"
                f" ttl {self.ttl} s - margin {self.margin} s: raise the ttl"
            )
        if self.margin < 0.1 * self.ttl + 0.2 - 1e-9:
            raise FatalError(
                f"lease timing: margin {self.margin} s is below 10 % of ttl {self.ttl} s + 0.2 s:"
                " raise the margin"
            )


class Change(Enum):
    """What an answer, or its absence, changed; the caller logs it."""

    NONE = "none"
    ACQUIRED = "acquired"
    LOST = "lost"
    STANDBY = "standby"
    OFFLINE = "offline"
    ONLINE = "online"
    SUSPENDED = "suspended"


class Elector:
    """The state of one candidacy.

    R1: permission is a deadline, counted from before the request that was granted.
    R2: steal only what stood still for a whole TTL since the reply that first showed it, seen in
        one unbroken session. R3: the database decides. R4: a new candidate id after each loss.
    """

    def __init__(
        self, timing: LeaseTiming, offline: OfflineMode, new_candidate: Callable[[], UUID]
    ) -> None:
        self.timing = timing
        self._offline = offline
        self._new_candidate = new_candidate
        self.candidate = new_candidate()
        self.term: int | None = None
        self._trusted_until = 0.0
        self._failing = False
        self._offline_told = False
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._standing_by_for: int | None = None

    def may_start(self, now: float) -> bool:
        """Whether a check may start at this moment."""
        if self.term is None:
            return False
        return now < self._trusted_until or (
            self._failing and self._offline is OfflineMode.CONTINUE
        )

    def request(self, now: float) -> LeaseRequest:
        """What to ask the database at `now`."""
        term, seq = self._seen or (0, 0)
        still = self._seen is not None and now - self._seen_at >= self.timing.ttl
        return LeaseRequest(candidate=self.candidate, seen_term=term, seen_seq=seq, may_steal=still)

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        """Take in the answer to a request sent at `asked_at`."""
        was_offline, self._offline_told = self._offline_told, False
        self._failing = False
        if answer.held:
            self._trusted_until = asked_at + self.timing.ttl - self.timing.margin
            self._seen = None
            self._standing_by_for = None
            gained = self.term != answer.term
            self.term = answer.term
            if gained:
                return Change.ACQUIRED
            return Change.ONLINE if was_offline else Change.NONE
        if self._seen != (answer.term, answer.seq):
            self._seen, self._seen_at = (answer.term, answer.seq), now
        if self.term is not None:
            self._step_down()
            return Change.LOST
        if self._standing_by_for != answer.term:
            self._standing_by_for = answer.term
            return Change.STANDBY
        return Change.NONE

    def unreachable(self, now: float) -> Change:
        """Take in that the database did not answer in time, or at all.

        The session is over, so the observation of the row starts anew. The last leader keeps its
        term: while nobody reaches the database, nobody can take it.
        """
        self._seen = None
        self._failing = True
        if self.term is None or self._offline_told or now < self._trusted_until:
            return Change.NONE
        self._offline_told = True
        return Change.OFFLINE if self._offline is OfflineMode.CONTINUE else Change.SUSPENDED

    def released(self) -> None:
        """Take in that the lease was given back."""
        self._step_down()

    def next_delay(self) -> float:
        """Seconds until the next request, before jitter."""
        steady = self.term is not None and not self._failing
        return self.timing.renew if steady else self.timing.poll

    def _step_down(self) -> None:
        self.term = None
        self._trusted_until = 0.0
        self._offline_told = False
        self.candidate = self._new_candidate()
