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

    @classmethod
    def of(cls, ttl: float) -> "LeaseTiming":
        """The timing of a lease of that length; the margin grows with it."""
        return cls(ttl=ttl, margin=max(0.5, 0.1 * ttl + 0.2))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A term that is held; `silent_s` is how long ago the database answered last.

    `confirmed` says that the deadline of its last word has not passed.
    """

    term: int
    candidate: UUID
    confirmed: bool
    silent_s: float


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
        self,
        timing: LeaseTiming,
        offline: OfflineMode,
        new_candidate: Callable[[], UUID],
        offline_limit_s: float = 86_400.0,
    ) -> None:
        self.timing = timing
        self._offline_limit_s = offline_limit_s
        self._offline = offline
        self._new_candidate = new_candidate
        self.candidate = new_candidate()
        self.term: int | None = None
        self._trusted_until = 0.0
        self._failing = False
        self._awake_at = 0.0
        self._answered_at = 0.0
        self._slept = False
        self._offline_told = False
        self._suspended_told = False
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._standing_by_for: int | None = None

    def may_start(self, now: float) -> bool:
        """Whether a check may start at this moment."""
        if self.term is None:
            return False
        return self.is_trusted(now) or self._may_continue(now)

    def standing(self, now: float) -> Standing | None:
        """What is held, and how well; None without a term."""
        if self.term is None:
            return None
        return Standing(
            term=self.term,
            candidate=self.candidate,
            confirmed=self.is_trusted(now),
            silent_s=now - self._answered_at,
        )

    def is_trusted(self, now: float) -> bool:
        """Whether the deadline of the last granted request has not passed."""
        return now < self._trusted_until

    def request(self, now: float) -> LeaseRequest:
        """What to ask the database at `now`."""
        term, seq = self._seen or (0, 0)
        still = self._seen is not None and now - self._seen_at >= self.timing.ttl
        return LeaseRequest(candidate=self.candidate, seen_term=term, seen_seq=seq, may_steal=still)

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        """Take in the answer to a request sent at `asked_at`."""
        self._awake_at = self._answered_at = now
        was_offline = self._offline_told or self._suspended_told
        self._slept = self._offline_told = self._suspended_told = False
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
        term: while nobody reaches the database, nobody can take it. One that slept for a TTL may
        have slept through a takeover, and waits for an answer.
        """
        self._slept = self._slept or now - self._awake_at >= self.timing.ttl
        self._awake_at = now
        self._seen = None
        self._failing = True
        if self.term is None or self.is_trusted(now):
            return Change.NONE
        if self._may_continue(now):
            if self._offline_told:
                return Change.NONE
            self._offline_told = True
            return Change.OFFLINE
        if self._suspended_told:
            return Change.NONE
        self._suspended_told = True
        return Change.SUSPENDED

    def resume(self, now: float, term: int, candidate: UUID, confirmed_ago_s: float) -> None:
        """Go on with a term from before a restart, as the last leader without a database."""
        self.term, self.candidate = term, candidate
        self._awake_at, self._answered_at = now, now - confirmed_ago_s
        self._failing = self._offline_told = True

    def released(self) -> None:
        """Take in that the lease was given back."""
        self._step_down()

    def next_delay(self) -> float:
        """Seconds until the next request, before jitter."""
        steady = self.term is not None and not self._failing
        return self.timing.renew if steady else self.timing.poll

    def _may_continue(self, now: float) -> bool:
        """Whether the last leader, awake ever since its last answer, goes on without one."""
        awake = not self._slept and now - self._awake_at < self.timing.ttl
        within = now - self._answered_at < self._offline_limit_s
        return self._failing and awake and within and self._offline is OfflineMode.CONTINUE

    def _step_down(self) -> None:
        self.term = None
        self._trusted_until = 0.0
        self._offline_told = self._suspended_told = False
        self.candidate = self._new_candidate()
