"""Does a candidacy listen to the other agents, and keep what it tells them?"""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest

from tests.support.builders import listen
from uptimeo.domain.lease import LeaseAnswer
from uptimeo.domain.peer import GivenUp, Word
from uptimeo.leader.elector import LISTEN_S, Change, Elector, LeaseTiming, OfflineMode

TIMING = LeaseTiming()
T0 = 1000.0
LATE = T0 + TIMING.ttl  # the trust of a request at T0 has ended
PEER = UUID(int=99)


def an_elector(offline: OfflineMode = OfflineMode.CONTINUE) -> Elector:
    numbers = count(1)
    return Elector(TIMING, offline, lambda: UUID(int=next(numbers)))


def answer(*, held: bool, term: int = 5, seq: int = 10) -> LeaseAnswer:
    return LeaseAnswer(
        held=held,
        term=term,
        seq=seq,
        holder="b",
        server_now=datetime(2026, 1, 2, tzinfo=UTC),
        sent_at=T0,
        received_at=T0,
    )


def a_leader_cut_off(offline: OfflineMode = OfflineMode.CONTINUE) -> Elector:
    """Granted at T0; the requests since T0 + 1 found no database."""
    elector = an_elector(offline)
    listen(elector, T0 - 5, LATE)
    elector.answered(T0, T0, answer(held=True))
    elector.request(T0 + 1)
    elector.unreachable(T0 + 2)
    return elector


def a_standby() -> Elector:
    elector = an_elector()
    elector.answered(T0, T0, answer(held=False))
    return elector


def reaching(term: int = 5, ago_s: float = 0.1) -> Word:
    return Word(answered_ago_s=ago_s, term=term, holds=False)


def gone(term: int = 5) -> Word:
    return Word(answered_ago_s=None, term=term, holds=False)


# A leader without a database.


def test_it_goes_on_while_no_peer_says_a_word() -> None:
    elector = a_leader_cut_off()

    assert elector.unreachable(LATE) is Change.OFFLINE
    assert elector.may_start(LATE)


def test_it_goes_on_while_its_peers_do_not_reach_the_database_either() -> None:
    elector = a_leader_cut_off()
    elector.heard(PEER, T0 + 2.4, T0 + 2.4, gone())

    assert elector.unreachable(LATE) is Change.OFFLINE
    assert elector.may_start(LATE)


@pytest.mark.parametrize("offline", OfflineMode)
def test_it_gives_up_its_term_when_a_peer_reaches_the_database(offline: OfflineMode) -> None:
    elector = a_leader_cut_off(offline)
    elector.heard(PEER, T0 + 1.2, T0 + 2.1, reaching())
    elector.heard(PEER, T0 + 2.4, T0 + 2.4, reaching())

    assert elector.may_start(T0 + 2.49)  # the deadline of its lease still holds
    assert not elector.may_start(T0 + 2.5)
    assert elector.unreachable(T0 + 2.5) is Change.SUSPENDED
    assert elector.unreachable(T0 + 3.2) is Change.YIELDED
    assert elector.term is None


def test_a_word_that_comes_after_the_deadline_makes_it_pause_at_once_and_then_give_up() -> None:
    elector = a_leader_cut_off()
    elector.unreachable(LATE)

    assert elector.heard(PEER, LATE + 0.1, LATE + 0.1, reaching()) is Change.SUSPENDED
    assert not elector.may_start(LATE + 0.1)
    assert elector.heard(PEER, LATE + 1.2, LATE + 1.2, reaching()) is Change.YIELDED


def test_a_database_that_comes_back_to_another_first_costs_it_nothing() -> None:
    elector = a_leader_cut_off()
    elector.unreachable(LATE)
    elector.heard(PEER, LATE + 0.1, LATE + 0.1, reaching())

    assert elector.answered(LATE + 0.3, LATE + 0.4, answer(held=True, seq=12)) is Change.ONLINE
    assert elector.may_start(LATE + 0.4)


def test_a_peer_that_may_still_reach_the_database_makes_it_pause_and_no_more() -> None:
    elector = a_leader_cut_off()
    elector.heard(PEER, T0 + 2.0, T0 + 2.0, reaching(ago_s=1.05))

    assert elector.unreachable(T0 + 2.5) is Change.SUSPENDED
    assert not elector.may_start(T0 + 2.5)
    assert elector.heard(PEER, T0 + 2.6, T0 + 2.6, gone()) is Change.OFFLINE
    assert elector.may_start(T0 + 2.6)


def test_it_stops_for_a_later_term_even_if_its_holder_has_no_database() -> None:
    elector = a_leader_cut_off()

    assert elector.heard(PEER, LATE, LATE, gone(term=6)) is Change.YIELDED


def test_what_was_said_before_the_database_answered_does_not_count() -> None:
    elector = a_leader_cut_off()
    elector.heard(PEER, T0 + 2.4, T0 + 2.4, reaching(term=9))

    elector.answered(T0 + 2.45, T0 + 2.5, answer(held=True, seq=11))
    elector.unreachable(T0 + 6)

    assert elector.term == 5


def test_the_term_given_up_is_told_a_moment_after_its_last_check() -> None:
    elector = a_leader_cut_off()
    candidate = elector.candidate
    elector.heard(PEER, T0 + 2, T0 + 2, reaching())
    elector.heard(PEER, LATE, LATE, reaching())

    assert elector.word(LATE).given_up is None
    assert elector.word(LATE + 0.2).given_up == GivenUp(term=5, candidate=candidate)
    assert elector.candidate != candidate


def test_a_term_given_up_is_told_until_the_database_answers() -> None:
    elector = a_leader_cut_off()
    elector.heard(PEER, T0 + 2, T0 + 2, reaching())
    elector.heard(PEER, LATE, LATE, reaching())

    elector.answered(LATE + 1, LATE + 1, answer(held=False, term=6))

    assert elector.word(LATE + 2).given_up is None


def test_after_a_restart_it_listens_before_it_goes_on() -> None:
    elector = an_elector()

    elector.resume(T0, term=5, candidate=UUID(int=7), confirmed_ago_s=60)
    before = elector.may_start(T0)
    listen(elector, T0, T0 + LISTEN_S, others=1)

    assert not before
    assert not elector.may_start(T0 + LISTEN_S - 0.01)
    assert elector.may_start(T0 + LISTEN_S)


def test_after_a_pause_it_listens_before_it_goes_on() -> None:
    elector = a_leader_cut_off()
    assert elector.may_start(LATE)

    elector.unreachable(LATE)

    wakes = LATE + 2
    asleep = elector.may_start(wakes)
    elector.unreachable(wakes)
    listen(elector, wakes, wakes + LISTEN_S, others=1)

    assert not asleep
    assert not elector.may_start(wakes + LISTEN_S - 0.01)
    assert elector.may_start(wakes + LISTEN_S)


def test_after_a_restart_a_peer_that_led_since_ends_its_old_term() -> None:
    elector = an_elector()
    elector.resume(T0, term=5, candidate=UUID(int=7), confirmed_ago_s=60)

    leading = Word(answered_ago_s=None, term=6, holds=True)

    assert elector.heard(PEER, T0 + 0.1, T0 + 0.1, leading) is Change.YIELDED
    listen(elector, T0, T0 + 2, others=1)
    assert not elector.may_start(T0 + 2)


def test_one_that_leads_at_its_start_listens_to_the_others_before_it_begins() -> None:
    elector = an_elector()
    elector.answered(T0, T0, answer(held=True))
    asleep = elector.may_start(T0)
    elector.asking_peers(T0 + 0.1, others=1)
    deaf = elector.may_start(T0 + 0.1)

    elector.heard(PEER, T0 + 0.1, T0 + 0.2, reaching(term=0))

    assert (asleep, deaf, elector.may_start(T0 + 0.2)) == (False, False, True)


def test_one_that_is_alone_begins_at_once() -> None:
    elector = an_elector()
    elector.asking_peers(T0, others=0)
    elector.answered(T0, T0, answer(held=True))

    assert elector.may_start(T0)


def test_a_leader_that_paused_while_the_database_answers_need_not_listen() -> None:
    elector = an_elector()
    elector.asking_peers(T0, others=0)
    elector.answered(T0, T0, answer(held=True))
    elector.asking_peers(T0 + 2, others=1)

    assert elector.may_start(T0 + 2)


def test_a_new_leader_begins_when_the_one_without_a_database_has_given_up() -> None:
    elector = an_elector()
    listen(elector, T0 - 2, T0)
    elector.heard(PEER, T0, T0, Word(answered_ago_s=None, term=5, holds=True))
    elector.answered(T0, T0 + 0.01, answer(held=True, term=7))

    before = elector.may_start(T0 + 0.1)
    elector.heard(PEER, T0 + 0.2, T0 + 0.2, Word(answered_ago_s=None, term=7, holds=False))

    assert not before
    assert elector.may_start(T0 + 0.2)


# What a standby says, and does.


def test_a_standby_whom_the_database_answers_says_so() -> None:
    assert a_standby().word(T0 + 0.25) == Word(answered_ago_s=0.25, term=5, holds=False)


def test_a_leader_says_that_it_holds_its_term() -> None:
    elector = an_elector()
    elector.answered(T0, T0, answer(held=True, term=8))

    assert elector.word(T0 + 1.5) == Word(answered_ago_s=1.5, term=8, holds=True)


def test_one_whose_request_failed_says_that_the_database_is_gone() -> None:
    elector = a_standby()
    elector.unreachable(T0 + 0.3)

    assert elector.word(T0 + 0.3).answered_ago_s is None


def test_one_who_waits_too_long_for_an_answer_says_that_the_database_is_gone() -> None:
    assert a_standby().word(T0 + 1.5).answered_ago_s is None


def test_who_said_that_the_database_is_gone_watches_the_lease_anew_before_it_steals() -> None:
    elector = a_standby()
    assert elector.word(T0 + 1.5).answered_ago_s is None

    elector.answered(T0 + 1.6, T0 + 1.6, answer(held=False))

    assert not elector.request(T0 + 1.6 + TIMING.ttl - 0.01).may_steal
    assert elector.request(T0 + 1.6 + TIMING.ttl).may_steal


def test_who_asks_to_steal_does_not_say_that_the_database_is_gone() -> None:
    elector = a_standby()
    for step in range(1, 14):
        elector.answered(T0 + step * 0.25, T0 + step * 0.25, answer(held=False))
    assert elector.request(T0 + 3.3).may_steal

    assert elector.word(T0 + 6).answered_ago_s is not None


def test_a_lease_won_right_after_a_promise_waits_for_who_was_promised() -> None:
    elector = a_standby()
    listen(elector, T0 - 2, T0 + 2, others=1)
    elector.unreachable(T0 + 1.9)
    elector.word(T0 + 2)

    elector.answered(T0 + 2.1, T0 + 2.2, answer(held=True, term=6))
    before = elector.may_start(T0 + 2.2)
    elector.heard(PEER, T0 + 2.25, T0 + 2.3, gone(term=6))

    assert not before
    assert elector.may_start(T0 + 2.3)


def test_one_who_slept_between_two_answers_watches_the_lease_anew() -> None:
    elector = a_standby()

    elector.answered(T0 + 10, T0 + 10, answer(held=False))

    assert not elector.request(T0 + 10.2).may_steal
    assert elector.request(T0 + 10 + TIMING.ttl).may_steal


def test_a_standby_frees_the_lease_that_was_given_up_once() -> None:
    elector = a_standby()
    given_up = GivenUp(term=5, candidate=UUID(int=7))

    elector.heard(PEER, T0, T0, Word(answered_ago_s=None, term=5, holds=False, given_up=given_up))

    assert elector.take_given_up() == given_up
    assert elector.take_given_up() is None


def test_a_standby_does_not_free_a_lease_that_it_does_not_see() -> None:
    elector = a_standby()
    given_up = GivenUp(term=4, candidate=UUID(int=7))

    elector.heard(PEER, T0, T0, Word(answered_ago_s=None, term=4, holds=False, given_up=given_up))

    assert elector.take_given_up() is None
