"""Can two agents of a datacenter ever lead at once? Hours of accidents, in seconds, by seed.

A discrete-event simulation drives the real `Elector` of three instances against a lease row that
decides as `lease_ask` does (definitions/functions/lease.sql). Hosts are paused, crash, restart and
stop; messages are late or lost; the database is away and its clock jumps. In strict mode that is
all; in `continue` mode the instances also talk with each other, and those that were killed while
they went on without a database resume their term. The same simulation has to find bugs that are
planted: otherwise its silence would mean nothing."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from uptimeo.domain.lease import LeaseAnswer, LeaseRequest
from uptimeo.domain.peer import Word
from uptimeo.leader.elector import Change, Elector, LeaseTiming, OfflineMode

SECONDS = 120.0
SEEDS = range(150)
SAMPLE_S = 0.02
INSTANCES = 3
PEER_WAIT_S = 1.0
SERVER_NOW = datetime(2026, 1, 2, tzinfo=UTC)  # the elector does not look at it
MakeElector = Callable[[LeaseTiming, OfflineMode, Callable[[], UUID]], Elector]


@dataclass(slots=True)
class LeaseRow:
    """One row of `agent_leases`; its clock is the true time plus a skew that may jump."""

    ttl: float
    term: int = 0
    seq: int = 0
    holder: UUID | None = None
    expires_at: float = float("-inf")
    skew: float = 0.0
    away: bool = False

    def ask(self, request: LeaseRequest, true_time: float) -> LeaseAnswer:
        now = true_time + self.skew
        sees_this = (request.seen_term, request.seen_seq) == (self.term, self.seq)
        if self.holder == request.candidate:
            return self._grant(now)
        if self.holder is None or (request.may_steal and self.expires_at <= now and sees_this):
            self.term += 1
            self.holder = request.candidate
            return self._grant(now)
        return self._answer(held=False)

    def release(self, candidate: UUID, term: int) -> None:
        if (self.holder, self.term) == (candidate, term):
            self.holder, self.expires_at = None, float("-inf")
            self.seq += 1

    def _grant(self, now: float) -> LeaseAnswer:
        self.seq += 1
        self.expires_at = now + self.ttl
        return self._answer(held=True)

    def _answer(self, *, held: bool) -> LeaseAnswer:
        return LeaseAnswer(
            held=held,
            term=self.term,
            seq=self.seq,
            holder=None,
            server_now=SERVER_NOW,
            sent_at=0.0,
            received_at=0.0,
        )


@dataclass(slots=True)
class Report:
    """What a run showed: when which instances led at once, and how well somebody led."""

    overlap: tuple[float, list[int]] | None = None
    samples: int = 0
    samples_led: int = 0
    takeovers: int = 0
    acquired_at: list[float] = field(default_factory=list)


class Simulation:
    """The true time, what happens in it, and the dice."""

    def __init__(
        self,
        seed: int,
        *,
        elector: MakeElector = Elector,
        timing: LeaseTiming | None = None,
        rate_error: float = 2e-4,
        faults_every_s: float = 2.5,
        slow_share: float = 0.15,
        offline: OfflineMode = OfflineMode.STRICT,
    ) -> None:
        self.offline = offline
        self.dice = random.Random(seed)
        self.make_elector = elector
        self.timing = timing or LeaseTiming()
        self.row = LeaseRow(ttl=self.timing.ttl)
        self.now = 0.0
        self.report = Report()
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.instances = [
            Instance(self, number, 1 + rate_error * self.dice.choice([-1, 1]))
            for number in range(INSTANCES)
        ]
        for instance in self.instances:
            self.after(self.dice.uniform(0, 1), instance.start)
        self._faults_every_s = faults_every_s
        self._slow_share = slow_share
        if faults_every_s:
            self.after(5.0, self._fault)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), what))

    def new_candidate(self) -> UUID:
        return UUID(int=next(self._numbers))

    def run(self) -> Report:
        """Until the end, or until two lead at once."""
        sample_at = 0.0
        while self.now < SECONDS and self.report.overlap is None:
            event_at, _, what = self._events[0]
            if sample_at < event_at:
                self.now = sample_at
                sample_at += SAMPLE_S
                self._look(count=True)
                continue
            heapq.heappop(self._events)
            self.now = event_at
            what()
            self._look(count=False)
        self.report.takeovers = self.row.term
        return self.report

    def travel_s(self) -> float | None:
        """How long one message takes; None when it is lost."""
        match self.dice.random():
            case luck if luck < 0.98 - self._slow_share:
                return self.dice.choice([0.001, 0.003, 0.01, 0.05])
            case luck if luck < 0.98:
                return self.dice.uniform(0.2, 0.95)
            case luck if luck < 0.99:
                return self.dice.uniform(1, 9)  # still carried out by the database, far too late
            case _:
                return None

    def peer_travel_s(self) -> float | None:
        """The same between two hosts of one datacenter."""
        return None if self.dice.random() < 0.05 else self.dice.choice([0.001, 0.003, 0.02, 0.2])

    def _look(self, *, count: bool) -> None:
        leading = [each.number for each in self.instances if each.may_start()]
        if len(leading) > 1:
            self.report.overlap = (self.now, leading)
        if count:
            self.report.samples += 1
            self.report.samples_led += bool(leading)

    def _fault(self) -> None:
        leaders = [each for each in self.instances if each.may_start()]
        victim = self.dice.choice([*self.instances, *leaders * 4])
        match self.dice.randrange(12):
            case 0 | 1:
                victim.pause(self.dice.choice([0.3, 1, 2, 4, 15]))
            case 2:
                victim.crash(restart_after=self.dice.uniform(0.2, 10))
            case 3:
                victim.stop(restart_after=self.dice.uniform(0.2, 10))
            case 4 | 5:
                victim.cut_off(self.dice.choice([0.5, 2, 3, 4, 5, 6]))
            case 6 | 7 | 8 | 9:  # the database moves to a host that the victim does not reach
                victim.cut_off(self.dice.choice([3, 4, 5]))
                self.after(self.dice.uniform(0, 2.5), self._jump)
            case 10:
                self.row.away = True
                self.after(self.dice.choice([0.3, 1, 3, 8]), self._database_is_back)
            case _:
                self._jump()
        self.after(self.dice.expovariate(1 / self._faults_every_s), self._fault)

    def _jump(self) -> None:
        self.row.skew += self.dice.uniform(-10, 15)

    def _database_is_back(self) -> None:
        self.row.away = False


class Instance:
    """One agent as `Election` runs it, on a host whose clock has a rate of its own."""

    def __init__(self, world: Simulation, number: int, rate: float) -> None:
        self.number = number
        self._world = world
        self._rate = rate
        self._began_at = world.dice.uniform(100, 10_000)
        self._elector: Elector | None = None
        self._life = 0  # a message to an earlier life of the process reaches nobody
        self._question = 0
        self._cuts = 0
        self._paused = False
        self._backlog: list[Callable[[], None]] = []
        self._remembered: tuple[int, UUID, float] | None = None

    def clock(self) -> float:
        return self._began_at + self._world.now * self._rate

    def may_start(self) -> bool:
        """Whether a check may start here now; a process that stands still starts none."""
        if self._elector is None or self._paused:
            return False
        return self._elector.may_start(self.clock())

    # The election.

    def start(self) -> None:
        world = self._world
        self._life += 1
        self._elector = world.make_elector(world.timing, world.offline, world.new_candidate)
        if world.offline is OfflineMode.CONTINUE:
            remembered, self._remembered = self._remembered, None
            if remembered is not None and (world.row.away or self._cuts):
                term, candidate, confirmed_at = remembered
                ago_s = self.clock() - confirmed_at
                self._elector.resume(self.clock(), term, candidate, ago_s)
            self._ask_peers()
        else:
            self._ask_nobody()
        self._ask()

    def _ask(self) -> None:
        assert self._elector is not None
        asked_at = self.clock()
        request = self._elector.request(asked_at)
        self._question += 1
        question = self._question
        self._send(lambda: self._at_database(request, asked_at, question))
        self._later(self._elector.timing.call, lambda: self._no_answer(question))

    def _at_database(self, request: LeaseRequest, asked_at: float, question: int) -> None:
        if self._world.row.away or self._cuts:
            return
        answer = self._world.row.ask(request, self._world.now)
        life = self._life
        self._send(lambda: self._in_process(life, lambda: self._answer(answer, asked_at, question)))

    def _answer(self, answer: LeaseAnswer, asked_at: float, question: int) -> None:
        if question != self._question or self._elector is None or self._cuts:
            return
        self._question += 1
        if self._elector.answered(asked_at, self.clock(), answer) is Change.ACQUIRED:
            self._world.report.acquired_at.append(self._world.now)
        self._ask_again()

    def _no_answer(self, question: int) -> None:
        if question != self._question or self._elector is None:
            return
        self._question += 1  # a late answer comes over a connection that is closed by now
        self._elector.unreachable(self.clock())
        self._ask_again()

    def _ask_again(self) -> None:
        assert self._elector is not None
        jitter = self._world.dice.uniform(0.9, 1.1)
        self._later(self._elector.next_delay(self.clock(), jitter), self._ask)

    # The other agents, as `Peers` talks with them.

    def _ask_peers(self) -> None:
        assert self._elector is not None
        self._elector.asking_peers(self.clock(), INSTANCES - 1)
        for other in self._world.instances:
            if other is not self:
                self._ask_peer(other)
        self._later(0.25 * self._world.dice.uniform(0.9, 1.1), self._ask_peers)

    def _ask_nobody(self) -> None:
        assert self._elector is not None
        self._elector.asking_peers(self.clock(), 0)
        self._later(0.25, self._ask_nobody)

    def _ask_peer(self, other: "Instance") -> None:
        asked_at, life = self.clock(), self._life

        def reply(word: Word) -> None:
            self._post(lambda: self._in_process(life, lambda: self._hear(other, asked_at, word)))

        self._post(lambda: other.asked(reply))

    def asked(self, reply: Callable[[Word], None]) -> None:
        """A question arrives; one that is paused answers when it wakes."""

        def answer() -> None:
            assert self._elector is not None
            reply(self._elector.word(self.clock()))

        if self._elector is not None:
            self._in_process(self._life, answer)

    def _hear(self, other: "Instance", asked_at: float, word: Word) -> None:
        assert self._elector is not None
        if self.clock() - asked_at < PEER_WAIT_S:
            self._elector.heard(UUID(int=other.number), asked_at, self.clock(), word)
            if (gone := self._elector.take_given_up()) is not None:
                self._send(lambda: self._free(gone.candidate, gone.term))

    def _free(self, candidate: UUID, term: int) -> None:
        if not self._world.row.away:
            self._world.row.release(candidate, term)

    # What happens to the host.

    def pause(self, seconds: float) -> None:
        if self._elector is not None and not self._paused:
            self._paused = True
            life = self._life
            self._world.after(seconds, lambda: self._wake(life))

    def _wake(self, life: int) -> None:
        if life != self._life:
            return
        self._paused = False
        backlog, self._backlog = self._backlog, []
        self._world.dice.shuffle(backlog)  # an answer and its timeout are ready at once
        for what in backlog:
            what()

    def crash(self, *, restart_after: float) -> None:
        if self._elector is not None:
            held = self._elector.standing(self.clock())
            if held is not None and not held.confirmed:
                confirmed_at = self.clock() - held.silent_s
                self._remembered = (held.term, held.candidate, confirmed_at)
            self._elector = None
            self._life += 1
            self._paused = False
            self._backlog = []
            self._world.after(restart_after, self.start)

    def stop(self, *, restart_after: float) -> None:
        """An orderly end: no permission any more, then the lease is given back."""
        if self._elector is None or self._paused:
            return
        term, candidate = self._elector.term, self._elector.candidate
        self._elector.released()
        if term is not None:
            self._send(lambda: self._world.row.release(candidate, term))
        self.crash(restart_after=restart_after)

    def cut_off(self, seconds: float) -> None:
        self._cuts += 1
        self._world.after(seconds, self._connect)

    def _connect(self) -> None:
        self._cuts -= 1

    # Time and messages.

    def _send(self, what: Callable[[], None]) -> None:
        travel_s = self._world.travel_s()
        if travel_s is not None and not self._cuts:
            self._world.after(travel_s, what)

    def _post(self, what: Callable[[], None]) -> None:
        travel_s = self._world.peer_travel_s()
        if travel_s is not None:
            self._world.after(travel_s, what)

    def _later(self, host_seconds: float, what: Callable[[], None]) -> None:
        life = self._life
        self._world.after(host_seconds / self._rate, lambda: self._in_process(life, what))

    def _in_process(self, life: int, what: Callable[[], None]) -> None:
        if life != self._life:
            return
        if self._paused:
            self._backlog.append(what)
        else:
            what()


# The real one.


@pytest.mark.parametrize(
    "circumstances",
    [
        {},
        {"rate_error": 0.05},
        {"faults_every_s": 8.0, "slow_share": 0.3},
        {"faults_every_s": 1.0},
        {"timing": LeaseTiming.of(6.0), "rate_error": 0.05},
    ],
    ids=["usual", "clocks differ by a tenth", "slow network", "many accidents", "long lease"],
)
def test_two_never_lead_at_once(circumstances: dict[str, Any]) -> None:
    overlaps = {seed: Simulation(seed, **circumstances).run().overlap for seed in SEEDS}

    assert {seed: found for seed, found in overlaps.items() if found} == {}


@pytest.mark.parametrize(
    "circumstances",
    [{}, {"rate_error": 0.05}, {"slow_share": 0.4}, {"faults_every_s": 1.0}],
    ids=["usual", "clocks differ by a tenth", "slow network", "many accidents"],
)
def test_two_never_lead_at_once_although_they_go_on_without_a_database(
    circumstances: dict[str, Any],
) -> None:
    worlds = {
        seed: Simulation(seed, offline=OfflineMode.CONTINUE, **circumstances) for seed in SEEDS
    }
    overlaps = {seed: world.run().overlap for seed, world in worlds.items()}

    assert {seed: found for seed, found in overlaps.items() if found} == {}


def test_going_on_without_a_database_somebody_leads_more_of_the_time() -> None:
    strict = [Simulation(seed).run() for seed in SEEDS[:40]]
    going_on = [Simulation(seed, offline=OfflineMode.CONTINUE).run() for seed in SEEDS[:40]]

    assert sum(each.samples_led for each in going_on) > sum(each.samples_led for each in strict)


def test_amid_all_accidents_somebody_leads_most_of_the_time() -> None:
    reports = [Simulation(seed).run() for seed in SEEDS[:40]]

    led = sum(each.samples_led for each in reports) / sum(each.samples for each in reports)
    assert led > 0.5
    assert sum(each.takeovers for each in reports) > 5 * len(reports)


@pytest.mark.parametrize("seed", range(5))
def test_without_accidents_one_leads_nearly_always(seed: int) -> None:
    report = Simulation(seed, faults_every_s=0).run()

    assert report.samples_led > 0.9 * report.samples


@pytest.mark.parametrize("seed", range(10))
def test_a_crash_is_taken_over_within_the_time_promised(seed: int) -> None:
    world = Simulation(seed, faults_every_s=0)
    world.travel_s = lambda: 0.002  # type: ignore[method-assign] # a good network
    timing = world.timing

    def crash_the_leader() -> None:
        for each in world.instances:
            if each.may_start():
                each.crash(restart_after=1000)

    world.after(60, crash_the_leader)
    report = world.run()

    second = [moment for moment in report.acquired_at if moment > 60]
    assert 60 < second[0] <= 60 + timing.ttl + 2 * timing.poll * 1.1 + 0.1


# Planted bugs, which it has to find.


class UncheckedTiming(LeaseTiming):
    """A timing that nobody vouches for."""

    def __post_init__(self) -> None:
        pass


class StealsWhatHasExpired(Elector):
    """Breaks R2: believes the clock of the database alone."""

    def request(self, now: float) -> LeaseRequest:
        return replace(super().request(now), may_steal=True)


class CountsFromTheRequest(Elector):
    """Breaks R2: takes the row to have stood still from before it was seen."""

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        before = self._seen
        change = super().answered(asked_at, now, answer)
        if self._seen != before:
            self._seen_at = asked_at
        return change


class TrustsFromTheAnswer(Elector):
    """Breaks R1: counts the lease from when the answer came."""

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        return super().answered(now, now, answer)


class KeepsWhatItLost(Elector):
    """Breaks R3: trusts its deadline although the database says that another one leads."""

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        term, trusted_until = self.term, self._trusted_until
        change = super().answered(asked_at, now, answer)
        if change is Change.LOST:
            self.term, self._trusted_until = term, trusted_until + self.timing.ttl
        return change


class HearsNobody(Elector):
    """Goes on without a database whatever the others object."""

    def heard(self, speaker: UUID, asked_at: float, now: float, word: Word) -> Change:
        return Change.NONE


class BeginsBesideARival(Elector):
    """Takes a lease that is free, and begins although another one is heard to go on."""

    def may_start(self, now: float) -> bool:
        return self.is_trusted(now) or super().may_start(now)


class PromisesNothing(BeginsBesideARival):
    """Says that it does not reach the database, steals by what it saw before, and begins."""

    def word(self, now: float) -> Word:
        kept = self._seen, self._deaf_since, self._listen_until
        word = super().word(now)
        self._seen, self._deaf_since, self._listen_until = kept
        return word

    def unreachable(self, now: float) -> Change:
        seen = self._seen
        change = super().unreachable(now)
        self._seen = seen
        return change

    def _patience(self) -> float:
        return 60.0 if self._seen is not None and not self._failing else super()._patience()


class ForgetsThatItGaveUp(Elector):
    """Takes the answer to a request from before for the leadership that it gave up."""

    def answered(self, asked_at: float, now: float, answer: LeaseAnswer) -> Change:
        if answer.held:
            self._asked_as = self.candidate
        return super().answered(asked_at, now, answer)


def is_caught(elector: MakeElector, **circumstances: Any) -> bool:
    """Whether two lead at once under the accidents of some seed."""
    return any(
        Simulation(seed, elector=elector, **circumstances).run().overlap for seed in range(1000)
    )


def test_it_catches_a_margin_of_zero_on_clocks_that_differ() -> None:
    assert is_caught(Elector, timing=UncheckedTiming(margin=0.0), rate_error=0.05)


def test_it_catches_stealing_on_expiry_alone() -> None:
    assert is_caught(StealsWhatHasExpired)


def test_it_catches_stillness_counted_from_the_request() -> None:
    assert is_caught(CountsFromTheRequest, rate_error=0.05)


def test_it_catches_trust_counted_from_the_answer() -> None:
    assert is_caught(TrustsFromTheAnswer)


def test_it_catches_a_leader_who_does_not_listen() -> None:
    assert is_caught(KeepsWhatItLost)


def test_it_catches_a_leader_who_hears_nobody() -> None:
    assert is_caught(HearsNobody, offline=OfflineMode.CONTINUE)


@pytest.mark.parametrize("bug", [PromisesNothing, BeginsBesideARival, ForgetsThatItGaveUp])
def test_it_catches_broken_words_between_agents(bug: MakeElector) -> None:
    assert is_caught(bug, offline=OfflineMode.CONTINUE, slow_share=0.6)


def test_the_row_decides_as_the_function_in_the_database_does() -> None:
    row = LeaseRow(ttl=3.0)
    mine, theirs = UUID(int=1), UUID(int=2)

    def ask(
        candidate: UUID, at: float, *, seen: tuple[int, int] = (0, 0), steal: bool = False
    ) -> tuple[bool, int, int]:
        request = LeaseRequest(
            candidate=candidate, seen_term=seen[0], seen_seq=seen[1], may_steal=steal
        )
        answer = row.ask(request, at)
        return answer.held, answer.term, answer.seq

    assert ask(mine, 0) == (True, 1, 1)
    assert ask(mine, 10) == (True, 1, 2)
    assert ask(theirs, 20) == (False, 1, 2)
    assert ask(theirs, 20, seen=(1, 1), steal=True) == (False, 1, 2)
    assert ask(theirs, 12, seen=(1, 2), steal=True) == (False, 1, 2)
    assert ask(theirs, 13, seen=(1, 2), steal=True) == (True, 2, 3)
    row.release(mine, 1)
    assert ask(mine, 14) == (False, 2, 3)
    row.release(theirs, 2)
    assert ask(mine, 15) == (True, 3, 5)
