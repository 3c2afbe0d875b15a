"""Does a candidacy keep the five rules of the lease?

R1 permission is a deadline; R2 steal only what stood still for a whole TTL; R3 the database
decides; R4 a new candidate after each loss. (R5, the fence, is in the database.)
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.support.builders import listen
from uptimeo.domain.errors import FatalError
from uptimeo.domain.lease import LeaseAnswer, LeaseRequest
from uptimeo.leader.elector import Change, Elector, LeaseTiming, OfflineMode

TIMING = LeaseTiming()
TRUST_S = TIMING.ttl - TIMING.margin
T0 = 1000.0


def candidates() -> Iterator[UUID]:
    return (UUID(int=number) for number in range(1, 1000))


def an_elector(offline: OfflineMode = OfflineMode.STRICT) -> Elector:
    elector = Elector(TIMING, offline, candidates().__next__)
    listen(elector, T0 - 5, T0)
    return elector


def answer(*, held: bool, term: int = 5, seq: int = 10, holder: str | None = "b") -> LeaseAnswer:
    return LeaseAnswer(
        held=held,
        term=term,
        seq=seq,
        holder=holder,
        server_now=datetime(2026, 1, 2, tzinfo=UTC),
        sent_at=0.0,
        received_at=0.0,
    )


def a_leader(offline: OfflineMode = OfflineMode.STRICT) -> Elector:
    """An elector whose request at T0 was granted at once."""
    elector = an_elector(offline)
    assert elector.answered(T0, T0, answer(held=True)) is Change.ACQUIRED
    return elector


def a_standby(*, seen_at: float = T0, term: int = 5, seq: int = 10) -> Elector:
    """An elector who was told at `seen_at` that another one leads."""
    elector = an_elector()
    elector.answered(seen_at - 0.1, seen_at, answer(held=False, term=term, seq=seq))
    return elector


# R1: permission is a deadline, counted from before the request that was granted.


def test_before_the_first_answer_nothing_may_start() -> None:
    assert not an_elector().may_start(T0)
    assert not an_elector(OfflineMode.CONTINUE).may_start(T0)


def test_a_granted_lease_is_trusted_until_its_end_less_the_margin() -> None:
    elector = a_leader()

    assert elector.may_start(T0)
    assert elector.may_start(T0 + TRUST_S - 0.001)
    assert not elector.may_start(T0 + TRUST_S)


def test_trust_counts_from_the_request_and_not_from_the_answer() -> None:
    elector = an_elector()

    elector.answered(T0, T0 + 0.9, answer(held=True))

    assert not elector.may_start(T0 + TRUST_S)


def test_a_renewal_moves_the_deadline() -> None:
    elector = a_leader()

    elector.answered(T0 + 1, T0 + 1, answer(held=True, seq=11))

    assert elector.may_start(T0 + 1 + TRUST_S - 0.001)
    assert not elector.may_start(T0 + 1 + TRUST_S)


def test_after_a_pause_longer_than_the_trust_nothing_may_start_before_a_renewal() -> None:
    elector = a_leader(OfflineMode.CONTINUE)

    assert not elector.may_start(T0 + 60)


def test_an_answer_that_another_leads_ends_the_permission_at_once() -> None:
    elector = a_leader()

    elector.answered(T0 + 1, T0 + 1, answer(held=False, term=6))

    assert not elector.may_start(T0 + 1)
    assert elector.term is None


def test_a_released_lease_permits_nothing() -> None:
    elector = a_leader(OfflineMode.CONTINUE)

    elector.released()

    assert not elector.may_start(T0)
    assert elector.term is None


# R2: steal only what stood still for a TTL since the reply that showed it, in one session.


def test_the_first_request_may_not_steal() -> None:
    request = an_elector().request(T0)

    assert (request.may_steal, request.seen_term, request.seen_seq) == (False, 0, 0)


def test_what_stood_still_for_a_whole_ttl_may_be_stolen() -> None:
    elector = a_standby()

    assert not elector.request(T0 + TIMING.ttl - 0.001).may_steal
    assert elector.request(T0 + TIMING.ttl).may_steal


def test_stillness_counts_from_the_reply_and_not_from_its_request() -> None:
    elector = an_elector()

    elector.answered(T0 - 0.9, T0, answer(held=False))

    assert not elector.request(T0 - 0.9 + TIMING.ttl).may_steal


def test_a_request_names_what_was_seen() -> None:
    request = a_standby(term=5, seq=10).request(T0 + 1)

    assert (request.seen_term, request.seen_seq) == (5, 10)


def test_the_same_sight_again_does_not_restart_the_stillness() -> None:
    elector = a_standby()

    for number in range(1, 10):
        elector.answered(T0, T0 + number * 0.25, answer(held=False))

    assert elector.request(T0 + TIMING.ttl).may_steal


@pytest.mark.parametrize(("term", "seq"), [(5, 11), (6, 10)])
def test_a_sign_of_life_restarts_the_stillness(term: int, seq: int) -> None:
    elector = a_standby(term=5, seq=10)

    elector.answered(T0 + 2, T0 + 2, answer(held=False, term=term, seq=seq))

    assert not elector.request(T0 + 2 + TIMING.ttl - 0.001).may_steal
    assert elector.request(T0 + 2 + TIMING.ttl).may_steal


def test_a_broken_session_forgets_what_was_seen() -> None:
    elector = a_standby()

    elector.unreachable(T0 + 2.9)
    forgotten = elector.request(T0 + 10)
    elector.answered(T0 + 10, T0 + 10, answer(held=False))

    assert not forgotten.may_steal
    assert not elector.request(T0 + 10 + TIMING.ttl - 0.001).may_steal


def test_a_leader_who_lost_has_to_watch_for_a_ttl_as_well() -> None:
    elector = a_leader()

    elector.answered(T0 + 1, T0 + 1, answer(held=False, term=6))

    assert not elector.request(T0 + 1 + TIMING.ttl - 0.001).may_steal
    assert elector.request(T0 + 1 + TIMING.ttl).may_steal


def test_a_leader_never_asks_to_steal() -> None:
    elector = a_standby()
    elector.answered(T0 + 3, T0 + 3, answer(held=True, term=6))

    assert not elector.request(T0 + 100).may_steal


# R3: the database decides.


def test_a_granted_request_makes_a_leader_of_that_term() -> None:
    elector = a_standby(term=5)

    change = elector.answered(T0 + 3, T0 + 3, answer(held=True, term=6))

    assert change is Change.ACQUIRED
    assert elector.term == 6


def test_a_renewal_after_expiry_goes_on_with_the_term() -> None:
    elector = a_leader()

    change = elector.answered(T0 + 60, T0 + 60, answer(held=True))

    assert change is Change.NONE
    assert elector.may_start(T0 + 61)


def test_an_unknown_outcome_that_was_a_grant_is_seen_with_the_next_answer() -> None:
    elector = a_standby(term=5)
    candidate = elector.candidate
    elector.unreachable(T0 + 4)

    change = elector.answered(T0 + 5, T0 + 5, answer(held=True, term=6))

    assert change is Change.ACQUIRED
    assert elector.candidate == candidate


def test_a_term_of_ours_that_nobody_told_us_of_is_acquired_anew() -> None:
    elector = a_leader()

    change = elector.answered(T0 + 1, T0 + 1, answer(held=True, term=7))

    assert change is Change.ACQUIRED
    assert elector.term == 7


# R4: a new candidate after each loss.


def test_each_loss_makes_a_new_candidate() -> None:
    elector = a_leader()
    before = elector.candidate

    elector.answered(T0 + 1, T0 + 1, answer(held=False, term=6))

    assert elector.candidate != before
    assert elector.request(T0 + 1).candidate == elector.candidate


def test_a_release_makes_a_new_candidate() -> None:
    elector = a_leader()
    before = elector.candidate

    elector.released()

    assert elector.candidate != before


def test_a_candidacy_goes_on_through_renewals_standby_and_outages() -> None:
    elector = a_standby()
    before = elector.candidate

    elector.unreachable(T0 + 1)
    elector.answered(T0 + 2, T0 + 2, answer(held=False))
    elector.answered(T0 + 5, T0 + 5, answer(held=True, term=6))
    elector.unreachable(T0 + 6)
    elector.answered(T0 + 7, T0 + 7, answer(held=True, term=6))

    assert elector.candidate == before


# Without a database.


def test_the_strict_leader_stops_when_its_trust_ends() -> None:
    elector = a_leader(OfflineMode.STRICT)

    elector.unreachable(T0 + 1)

    assert elector.may_start(T0 + TRUST_S - 0.001)
    assert not elector.may_start(T0 + TRUST_S)


def test_the_continuing_leader_goes_on_while_nobody_reaches_the_database() -> None:
    elector = a_leader(OfflineMode.CONTINUE)

    permitted = []
    for second in range(1, 3600):
        elector.unreachable(T0 + second)
        listen(elector, T0 + second, T0 + second + 0.9)
        permitted.append(elector.may_start(T0 + second + 0.9))

    assert all(permitted)


def test_the_continuing_leader_who_slept_for_a_ttl_waits_for_an_answer() -> None:
    elector = a_leader(OfflineMode.CONTINUE)
    elector.unreachable(T0 + 1)
    asleep = elector.may_start(T0 + 1 + TIMING.ttl)

    elector.unreachable(T0 + 60)
    awake = elector.may_start(T0 + 60)
    elector.answered(T0 + 61, T0 + 61, answer(held=True))
    elector.unreachable(T0 + 62)

    assert (asleep, awake, elector.may_start(T0 + 63)) == (False, False, True)


def test_the_continuing_leader_stops_when_the_database_says_that_another_leads() -> None:
    elector = a_leader(OfflineMode.CONTINUE)
    elector.unreachable(T0 + 1)

    change = elector.answered(T0 + 60, T0 + 60, answer(held=False, term=6))

    assert change is Change.LOST
    assert not elector.may_start(T0 + 60)


@pytest.mark.parametrize("offline", OfflineMode)
def test_a_standby_without_a_database_starts_nothing(offline: OfflineMode) -> None:
    elector = an_elector(offline)
    elector.answered(T0, T0, answer(held=False))

    assert elector.unreachable(T0 + 1) is Change.NONE
    assert not elector.may_start(T0 + 60)


@pytest.mark.parametrize(
    ("offline", "change"),
    [(OfflineMode.CONTINUE, Change.OFFLINE), (OfflineMode.STRICT, Change.SUSPENDED)],
)
def test_an_outage_is_news_once_and_only_after_the_trust_has_ended(
    offline: OfflineMode, change: Change
) -> None:
    elector = a_leader(offline)

    listen(elector, T0 - 5, T0 + TRUST_S + 1)
    told = [elector.unreachable(T0 + after) for after in (1, 2, TRUST_S, TRUST_S + 1)]

    assert told == [Change.NONE, Change.NONE, change, Change.NONE]


def test_the_end_of_an_outage_is_news_once() -> None:
    elector = a_leader()
    elector.unreachable(T0 + 10)

    told = [elector.answered(T0 + n, T0 + n, answer(held=True)) for n in (11, 12)]

    assert told == [Change.ONLINE, Change.NONE]


def test_the_end_of_an_outage_that_was_no_news_is_none_either() -> None:
    elector = a_leader()
    elector.unreachable(T0 + 1)

    assert elector.answered(T0 + 2, T0 + 2, answer(held=True)) is Change.NONE


def test_standing_by_is_news_once_for_each_term() -> None:
    elector = an_elector()

    told = [
        elector.answered(T0, T0, answer(held=False, term=term, seq=seq))
        for term, seq in ((5, 1), (5, 2), (6, 3), (6, 4))
    ]

    assert told == [Change.STANDBY, Change.NONE, Change.STANDBY, Change.NONE]


# How often, and how long.


def test_a_leader_renews_and_everybody_else_polls() -> None:
    failing = a_leader()
    failing.unreachable(T0 + 1)

    assert a_leader().next_delay(T0) == TIMING.renew
    assert a_standby().next_delay(T0) == TIMING.poll
    assert failing.next_delay(T0 + 1) == TIMING.poll


def test_a_standby_asks_at_the_moment_when_it_may_steal() -> None:
    elector = a_standby(seen_at=T0)

    assert elector.next_delay(T0 + TIMING.ttl - 0.1, jitter=1.1) == pytest.approx(0.1)
    assert elector.request(T0 + TIMING.ttl).may_steal
    assert elector.next_delay(T0 + TIMING.ttl, jitter=1.1) == pytest.approx(1.1 * TIMING.poll)


def test_a_request_is_what_the_database_needs() -> None:
    assert a_standby(term=5, seq=10).request(T0) == LeaseRequest(
        candidate=UUID(int=1), seen_term=5, seen_seq=10, may_steal=False
    )


def test_a_timing_that_one_lost_renewal_would_end_is_refused_with_its_numbers() -> None:
    with pytest.raises(FatalError) as caught:
        LeaseTiming(ttl=2.5, renew=1.0, call=1.0, margin=0.5)

    assert str(caught.value) == (
        "lease timing: renew 1.0 s + call 1.0 s + 0.25 s exceeds ttl 2.5 s - margin 0.5 s:"
        " raise the ttl"
    )


def test_a_margin_too_small_for_clocks_that_differ_is_refused_with_its_numbers() -> None:
    with pytest.raises(FatalError) as caught:
        LeaseTiming(ttl=10.0, margin=1.1)

    assert str(caught.value) == (
        "lease timing: margin 1.1 s is below 10 % of ttl 10.0 s + 0.2 s: raise the margin"
    )


@pytest.mark.parametrize("ttl", [3, 3.5, 5, 10, 60])
def test_every_length_that_a_setting_allows_has_a_safe_timing(ttl: float) -> None:
    timing = LeaseTiming.of(ttl)

    assert timing.ttl == ttl
    assert timing.margin >= 0.1 * ttl + 0.2 - 1e-9


@pytest.mark.parametrize(
    "timing", [{}, {"ttl": 10.0, "margin": 1.2}, {"ttl": 2.75, "margin": 0.5}], ids=str
)
def test_a_safe_timing_is_accepted(timing: dict[str, float]) -> None:
    assert LeaseTiming(**timing).ttl > 0
