"""May this agent lead, now? The rules of the lease, without I/O and without a clock.

A lease row in the database has a term and a sequence number. Times here are seconds on a
monotonic clock of this host that counts suspend; only the database compares its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from uptimeo.domain.errors import FatalError
from uptimeo.domain.lease import LeaseAnswer, LeaseRequest
from uptimeo.domain.peer import GivenUp, Word
from uptimeo.leader.council import Council, Objection

# What one who was deaf waits for those that do not answer: six questions to each. It is deaf
# whose last question is longer ago than the second.
LISTEN_S = 1.5
_DEAF_S = 1.0
# When the database comes back, one agent reaches it first: the leader has as long to reach it too.
_BACK_S = 1.0
# Between the last check of a term and the word that it is given up: more than the clocks of two
# agents differ, so that no check seems to have run after its term.
_GIVEN_UP_AFTER_S = 0.1


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
    YIELDED = "yielded"
    RELEASED = "released"
    FREED = "freed"


class Elector:
    """The state of one candidacy.

    R1: permission is a deadline, counted from before the request that was granted.
    R2: steal only what stood still for a whole TTL since the reply that first showed it, seen in
        one unbroken session of regular answers. R3: the database decides. R4: a new candidate id
        after each loss.
    A leader without a database goes on only while no other agent of the datacenter objects, and
    one with it begins only when no other is heard to go on without.
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
        self._council = Council()
        self.candidate = new_candidate()
        self.term: int | None = None
        self._newest_term = 0
        self._trusted_until = 0.0
        self._asked_at = 0.0
        self._asked_as = self.candidate
        self._stealing = False
        self._failing = False
        self._cut_since = 0.0
        self._asked_peers_at = -math.inf
        self._deaf_since = -math.inf
        self._listen_until = math.inf
        self._others = 0
        self._began_deaf = False
        self._opposed_since: float | None = None
        self._awake_at = 0.0
        self._answered_at = 0.0
        self._slept = False
        self._told = Change.NONE
        self._given_up: tuple[float, GivenUp] | None = None
        self._to_free: GivenUp | None = None
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._standing_by_for: int | None = None

    def may_start(self, now: float) -> bool:
        """Whether a check may start at this moment."""
        if self.term is None:
            return False
        if not self.is_trusted(now):
            return self._may_continue(now)
        if self._began_deaf and not self._listened(now):
            return False
        return not self._council.has_rival(now)

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

    def answered_ago_s(self, now: float) -> float | None:
        """How long ago the database answered last; None if it never has."""
        return now - self._answered_at if self._answered_at else None

    @property
    def newest_term(self) -> int:
        """The last term that is known of, whoever holds it; 0 before any is."""
        return max(self._newest_term, self.term or 0)

    def is_trusted(self, now: float) -> bool:
        """Whether the deadline of the last granted request has not passed."""
        return now < self._trusted_until

    def request(self, now: float) -> LeaseRequest:
        """What to ask the database at `now`."""
        term, seq = self._seen or (0, 0)
        still = self._seen is not None and now - self._seen_at >= self.timing.ttl
        self._asked_at, self._asked_as, self._stealing = now, self.candidate, still
        return LeaseRequest(candidate=self.candidate, seen_term=term, seen_seq=seq, may_steal=still)

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        """Take in the answer to a request sent at `asked_at`."""
        # One who slept was silent to its peers: it has to watch the row anew, and they hear it.
        regular = now - self._answered_at <= self._patience()
        self._awake_at = self._answered_at = now
        self._newest_term = answer.term
        was_told, self._told = self._told, Change.NONE
        self._slept = self._failing = self._stealing = False
        self._council.answered(now)
        self._opposed_since = None
        if answer.held and self._asked_as != self.candidate:
            # It was under way when the term was given up, which others have been told.
            self._to_free = GivenUp(term=answer.term, candidate=self._asked_as)
            return Change.NONE
        self._given_up = None
        if answer.held:
            return self._granted(asked_at, answer, was_offline=was_told is not Change.NONE)
        if not regular or self._seen != (answer.term, answer.seq):
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
        if not self._failing:
            self._failing, self._cut_since = True, self._asked_at
        self._stealing = False
        return self._stand(now)

    def word(self, now: float) -> Word:
        """What to tell another agent. To say that the database is gone is a promise, and kept."""
        quiet_s = now - self._answered_at
        reaches = self._stealing or (not self._failing and quiet_s <= self._patience())
        if not reaches:
            self._seen = None
            if self.term is None:
                # Whoever asks may go on because of this; a lease that is won after all, since it
                # is free or an old request was carried out late, waits until that one is heard.
                self._begin_listening(now)
        told = self._given_up is not None and now >= self._given_up[0] + _GIVEN_UP_AFTER_S
        return Word(
            answered_ago_s=quiet_s if reaches else None,
            term=self._newest_term if self.term is None else self.term,
            holds=self.term is not None,
            given_up=self._given_up[1] if told and self._given_up is not None else None,
        )

    def asking_peers(self, now: float, others: int) -> None:
        """So many other agents are asked at this moment; to be called several times a second.

        At its start and after a pause it is deaf to what they say: it has to listen, until all
        have answered or for a while, before it begins a term or goes on without a database.
        """
        if now - self._asked_peers_at > _DEAF_S:
            self._begin_listening(now)
        self._asked_peers_at, self._others = now, others
        self._end_listening(now)

    def heard(self, speaker: UUID, asked_at: float, now: float, word: Word) -> Change:
        """Take in what another agent said when it was asked at `asked_at`."""
        self._council.hear(speaker, asked_at, word)
        self._end_listening(now)
        given_up = word.given_up
        if given_up is not None and self._seen is not None and self._seen[0] == given_up.term:
            self._to_free = given_up
        return self._stand(now) if self._failing else Change.NONE

    def take_given_up(self) -> GivenUp | None:
        """A lease to free before the next request: its holder cannot reach the database."""
        given_up, self._to_free = self._to_free, None
        return given_up

    def resume(self, now: float, term: int, candidate: UUID, confirmed_ago_s: float) -> None:
        """Go on with a term from before a restart, as the last leader without a database."""
        self.term, self.candidate = term, candidate
        self._newest_term = term
        self._awake_at, self._answered_at = now, now - confirmed_ago_s
        self._cut_since = now
        self._failing, self._told = True, Change.OFFLINE

    def released(self) -> None:
        """Take in that the lease was given back."""
        self._step_down()

    def next_delay(self, now: float, jitter: float = 1.0) -> float:
        """Seconds until the next request; a standby asks no later than when it may steal.

        `jitter` stretches the usual delay, not that moment: half a poll is a twentieth of what a
        crash costs.
        """
        usual = self._usual_delay() * jitter
        if self._seen is None:
            return usual
        still_s = self._seen_at + self.timing.ttl - now
        return min(usual, still_s) if still_s > 0 else usual

    def _granted(self, asked_at: float, answer: LeaseAnswer, *, was_offline: bool) -> Change:
        self._trusted_until = asked_at + self.timing.ttl - self.timing.margin
        self._seen = None
        self._to_free = None
        self._standing_by_for = None
        gained = self.term != answer.term
        self.term = answer.term
        if gained:
            self._began_deaf = not self._listened(self._answered_at)
            return Change.ACQUIRED
        return Change.ONLINE if was_offline else Change.NONE

    def _stand(self, now: float) -> Change:
        """What the silence of the database means for a term that is held."""
        if self.term is None:
            return Change.NONE
        objection = self._objection(now)
        if objection is not Objection.REACHED:
            self._opposed_since = None
        elif self._opposed_since is None:
            self._opposed_since = now
        if self.is_trusted(now):
            return Change.NONE
        if objection is Objection.SUPERSEDED or self._is_opposed(now):
            self._given_up = (now, GivenUp(term=self.term, candidate=self.candidate))
            self._step_down()
            return Change.YIELDED
        stand = Change.OFFLINE if self._may_continue(now) else Change.SUSPENDED
        if stand is self._told:
            return Change.NONE
        self._told = stand
        return stand

    def _is_opposed(self, now: float) -> bool:
        return self._opposed_since is not None and now - self._opposed_since >= _BACK_S

    def _objection(self, now: float) -> Objection:
        assert self.term is not None
        return self._council.objection(now, self.term, self._cut_since)

    def _listened(self, now: float) -> bool:
        return now - self._asked_peers_at <= _DEAF_S and now >= self._listen_until

    def _begin_listening(self, now: float) -> None:
        self._deaf_since, self._listen_until = now, now + LISTEN_S

    def _end_listening(self, now: float) -> None:
        if self._council.answers(self._deaf_since) >= self._others:
            self._listen_until = min(self._listen_until, now)
        if self._listened(now):
            self._began_deaf = False

    def _patience(self) -> float:
        """The longest time between two answers that is ordinary."""
        return self._usual_delay() * 1.1 + self.timing.call

    def _usual_delay(self) -> float:
        steady = self.term is not None and not self._failing
        return self.timing.renew if steady else self.timing.poll

    def _may_continue(self, now: float) -> bool:
        """Whether the last leader, awake ever since its last answer, goes on without one."""
        awake = not self._slept and now - self._awake_at < self.timing.ttl
        within = now - self._answered_at < self._offline_limit_s
        if not (self._failing and awake and within and self._offline is OfflineMode.CONTINUE):
            return False
        return self._listened(now) and self._objection(now) is Objection.NONE

    def _step_down(self) -> None:
        self.term = None
        self._trusted_until = 0.0
        self._told = Change.NONE
        self.candidate = self._new_candidate()
