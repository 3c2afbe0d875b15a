"""Are only messages believed that were made with the key?"""

import hmac
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptimeo.domain.peer import GivenUp, Word
from uptimeo.leader.peer_wire import MOST_BYTES, answer, question, seal, unseal

KEY = bytes(range(32))
ME, YOU = UUID(int=1), UUID(int=2)
WORD = Word(
    answered_ago_s=0.25, term=7, holds=True, given_up=GivenUp(term=6, candidate=UUID(int=3))
)
ASKED = question(1, ME, "0" * 32)


def test_a_question_arrives_without_a_word() -> None:
    assert unseal(seal(ASKED, KEY), KEY) == ASKED
    assert ASKED.word is None


@pytest.mark.parametrize(
    "word", [WORD, Word(answered_ago_s=None, term=0, holds=False)], ids=["full", "least"]
)
def test_an_answer_repeats_the_number_of_its_question_and_says_the_word(word: Word) -> None:
    arrived = unseal(seal(answer(ASKED, YOU, word), KEY), KEY)

    assert arrived is not None
    assert (arrived.number, arrived.speaker, arrived.word) == (ASKED.number, YOU, word)


def test_a_message_made_with_another_key_is_none() -> None:
    assert unseal(seal(ASKED, b"another"), KEY) is None


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_message_with_any_byte_changed_is_none(place: int, change: int) -> None:
    sealed = bytearray(seal(answer(ASKED, YOU, WORD), KEY))
    sealed[place % len(sealed)] ^= change

    assert unseal(bytes(sealed), KEY) is None


@given(st.binary(max_size=MOST_BYTES + 10))
def test_noise_is_none(noise: bytes) -> None:
    assert unseal(noise, KEY) is None


def test_a_signed_message_of_another_form_is_none() -> None:

    for body in (b"{}", b"[]", b"\xff", b'{"datacenter": 1}'):
        assert unseal(hmac.digest(KEY, body, "sha256") + body, KEY) is None


def test_the_largest_message_fits_into_one_packet() -> None:
    huge = Word(
        answered_ago_s=1e300,
        term=2**63 - 1,
        holds=True,
        given_up=GivenUp(term=2**63 - 1, candidate=UUID(int=2**128 - 1)),
    )
    assert len(seal(answer(ASKED, YOU, huge), KEY)) < MOST_BYTES
