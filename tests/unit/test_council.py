"""What do the other agents object, when a leader goes on without a database?"""

from uuid import UUID

import pytest

from uptimeo.domain.peer import Word
from uptimeo.leader.council import DOUBT_S, Council, Objection

A, B = UUID(int=1), UUID(int=2)
CUT = 1000.0
TERM = 5


def word(ago_s: float | None = None, term: int = TERM, *, holds: bool = False) -> Word:
    return Word(answered_ago_s=ago_s, term=term, holds=holds)


def after(*said: tuple[UUID, float, Word], now: float | None = None) -> Objection:
    """The objection when these have been said, right after the last of them."""
    council = Council()
    for speaker, asked_at, each in said:
        council.hear(speaker, asked_at, each)
    return council.objection(said[-1][1] if now is None else now, TERM, CUT)


def test_silence_is_no_objection() -> None:
    assert Council().objection(CUT + 10, TERM, CUT) is Objection.NONE


def test_a_peer_without_the_database_does_not_object() -> None:
    assert after((A, CUT + 1, word(None))) is Objection.NONE


def test_a_peer_whom_the_database_answered_after_the_cut_proves_that_it_is_there() -> None:
    assert after((A, CUT + 1, word(0.2))) is Objection.REACHED


def test_the_proof_holds_although_the_peer_falls_silent() -> None:
    assert after((A, CUT + 1, word(0.2)), now=CUT + 3600) is Objection.REACHED


def test_an_answer_from_before_the_cut_is_a_doubt_and_no_proof() -> None:
    assert after((A, CUT + 0.5, word(0.6))) is Objection.DOUBT


def test_a_doubt_ends_when_the_peer_falls_silent() -> None:
    said = (A, CUT + 0.5, word(0.6))

    assert after(said, now=CUT + 0.5 + DOUBT_S - 0.01) is Objection.DOUBT
    assert after(said, now=CUT + 0.5 + DOUBT_S) is Objection.NONE


def test_a_peer_that_lost_the_database_takes_its_objection_back() -> None:
    assert after((A, CUT + 1, word(0.1)), (A, CUT + 2, word(None))) is Objection.NONE


def test_a_word_that_comes_late_does_not_replace_a_later_one() -> None:
    assert after((A, CUT + 2, word(None)), (A, CUT + 1, word(0.1))) is Objection.NONE


def test_one_that_objects_outweighs_all_that_do_not() -> None:
    assert after((A, CUT + 1, word(0.1)), (B, CUT + 1, word(None))) is Objection.REACHED


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (word(None, TERM + 1), Objection.SUPERSEDED),
        (word(None, TERM + 1, holds=True), Objection.SUPERSEDED),
        (word(None, TERM, holds=True), Objection.SUPERSEDED),
        (word(None, TERM - 1, holds=True), Objection.NONE),
    ],
)
def test_who_knows_of_a_later_term_supersedes_and_so_does_another_holder_of_the_same(
    said: Word, expected: Objection
) -> None:
    assert after((A, CUT + 1, said)) is expected


def test_an_answer_of_the_database_voids_what_was_said() -> None:
    council = Council()
    council.hear(A, CUT + 1, word(0.1, TERM + 1))

    council.answered(CUT + 1.1)

    assert council.objection(CUT + 1.1, TERM, CUT) is Objection.NONE


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (word(None, holds=True), True),
        (word(0.1, holds=True), False),
        (word(None), False),
    ],
)
def test_a_rival_is_one_that_leads_without_the_database(said: Word, *, expected: bool) -> None:
    council = Council()
    council.hear(A, CUT, said)
    council.answered(CUT + 0.1)

    assert council.has_rival(CUT + 0.2) is expected


def test_a_rival_that_falls_silent_or_gives_up_is_none() -> None:
    council = Council()
    council.hear(A, CUT, word(None, holds=True))
    silent = council.has_rival(CUT + DOUBT_S)
    council.hear(A, CUT + 0.2, word(None))

    assert not silent
    assert not council.has_rival(CUT + 0.3)
