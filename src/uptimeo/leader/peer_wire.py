"""In what form do the agents of a datacenter talk? Signed datagrams. Pure.

A question carries a number that was never used before and its answer repeats it, so that an old
answer is worth nothing. A question itself is not believed: it may be a copy of an older one.
"""

import hmac
from hashlib import sha256
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uptimeo.domain.peer import GivenUp, Word

MOST_BYTES = 1024
_SEAL_BYTES = sha256().digest_size


class Message(BaseModel):
    """A question without a word, or the answer to it with one."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    datacenter: int
    speaker: UUID
    number: str = Field(min_length=16, max_length=64)
    answered_ago_s: float | None = Field(default=None, ge=0)
    term: int | None = None
    holds: bool = False
    given_up: tuple[int, UUID] | None = None

    @property
    def word(self) -> Word | None:
        """What it says, if it is an answer."""
        if self.term is None:
            return None
        gone = self.given_up
        return Word(
            answered_ago_s=self.answered_ago_s,
            term=self.term,
            holds=self.holds,
            given_up=None if gone is None else GivenUp(term=gone[0], candidate=gone[1]),
        )


def question(datacenter: int, speaker: UUID, number: str) -> Message:
    """Ask another agent how it stands; `number` must be new and unpredictable."""
    return Message(datacenter=datacenter, speaker=speaker, number=number)


def answer(asked: Message, speaker: UUID, word: Word) -> Message:
    """What to say to a question."""
    gone = word.given_up
    return Message(
        datacenter=asked.datacenter,
        speaker=speaker,
        number=asked.number,
        answered_ago_s=word.answered_ago_s,
        term=word.term,
        holds=word.holds,
        given_up=None if gone is None else (gone.term, gone.candidate),
    )


def seal(message: Message, key: bytes) -> bytes:
    """The datagram of a message."""
    body = message.model_dump_json(exclude_defaults=True).encode()
    return hmac.digest(key, body, sha256) + body


def unseal(datagram: bytes, key: bytes) -> Message | None:
    """The message of a datagram; None if it was not made with this key."""
    if not _SEAL_BYTES < len(datagram) <= MOST_BYTES:
        return None
    sealed, body = datagram[:_SEAL_BYTES], datagram[_SEAL_BYTES:]
    if not hmac.compare_digest(sealed, hmac.digest(key, body, sha256)):
        return None
    try:
        return Message.model_validate_json(body)
    except ValidationError:
        return None
