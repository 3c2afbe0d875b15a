"""What is sent, and what has to come back? The steps that a monitor gives, one after the other."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from uptimeo.probes.answers.matching import TIME_LIMIT_S, end_of
from uptimeo.probes.base import (
    ErrorType,
    Pattern,
    PatternTimeoutError,
    Phase,
    ProbeContext,
    Stream,
    TargetError,
    Timeline,
    fail,
)
from uptimeo.probes.dialogues.dialogue import shown

_MAX_TEXT = 16_384
# A pattern that takes longer than this is tried again where it stops no other check.
_AT_ONCE_S = 0.005


class Step(BaseModel):
    """Send something, or expect something: exactly one of the five."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    send: str | None = Field(
        default=None, min_length=1, max_length=_MAX_TEXT, description="Send this text, as UTF-8."
    )
    send_base64: str | None = Field(
        default=None, min_length=1, max_length=_MAX_TEXT, description="Send these bytes."
    )
    expect: str | None = Field(
        default=None,
        min_length=1,
        max_length=_MAX_TEXT,
        description="What comes next begins with exactly this text.",
    )
    expect_base64: str | None = Field(
        default=None,
        min_length=1,
        max_length=_MAX_TEXT,
        description="What comes next begins with exactly these bytes.",
    )
    expect_regex: Pattern | None = Field(
        default=None,
        min_length=1,
        description="In what comes next this pattern is found; what follows the find stays unread.",
    )

    @field_validator("send_base64", "expect_base64")
    @classmethod
    def _decodable(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ValueError("it is not base64") from error
        return text

    @model_validator(mode="after")
    def _one_word(self) -> "Step":
        given = [value for _, value in self if value is not None]
        if len(given) != 1:
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"a step is exactly one of {names}")
        return self

    def sent(self) -> bytes | None:
        """What this step sends; None if it expects."""
        return _bytes(self.send, self.send_base64)

    def wanted(self) -> bytes | None:
        """The bytes that this step expects; None if it has a pattern, or sends."""
        return _bytes(self.expect, self.expect_base64)

    def expected(self) -> str:
        """What this step expects, in words."""
        wanted = self.wanted()
        return f"a match of {self.expect_regex!r}" if wanted is None else shown(wanted)


async def walk(
    steps: Sequence[Step], stream: Stream, context: ProbeContext, timeline: Timeline
) -> None:
    """Do each step. Raises TargetError with the number of the one that failed."""
    for number, step in enumerate(steps, 1):
        try:
            if (data := step.sent()) is not None:
                with timeline.phase(Phase.SEND):
                    await stream.send(data)
            else:
                with timeline.phase(Phase.WAIT):
                    await _expect(step, stream, context)
        except TargetError as error:
            text = f"step {number} of {len(steps)}: {error.failure.message}"
            raise TargetError(replace(error.failure, message=text)) from error


async def _expect(step: Step, stream: Stream, context: ProbeContext) -> None:
    """Read until what is expected has come; what comes after it is left for the next step."""
    while (end := await _found(step, stream, context)) is None:
        received = stream.buffered()
        if len(received) > context.limits.line_bytes:
            kind, why = ErrorType.BODY_TOO_LARGE, f" in the first {len(received)} bytes"
            raise _unmet(kind, step, stream, why)
        try:
            await stream.more()
        except TargetError as error:
            raise _without_end(error, step, stream) from error
    await stream.read_exactly(end)


async def _found(step: Step, stream: Stream, context: ProbeContext) -> int | None:
    """Where in what was received the expected ends; None as long as it may still come."""
    received = stream.buffered()
    wanted = step.wanted()
    if wanted is None:
        return await _match(step, stream, received, context)
    if received.startswith(wanted):
        return len(wanted)
    if not wanted.startswith(received):
        raise _unmet(ErrorType.UNEXPECTED, step, stream)
    return None


async def _match(step: Step, stream: Stream, received: bytes, context: ProbeContext) -> int | None:
    """As text of which each foreign byte is one character, so that a find has a place in bytes."""
    text = received.decode("utf-8", "surrogateescape")
    assert step.expect_regex is not None
    try:
        try:
            end = end_of(step.expect_regex, text, _AT_ONCE_S)
        except PatternTimeoutError:
            limit_s = max(_AT_ONCE_S, min(TIME_LIMIT_S, context.remaining_s()))
            end = await asyncio.to_thread(end_of, step.expect_regex, text, limit_s)
    except PatternTimeoutError as error:
        raise fail(ErrorType.UNEXPECTED, f"{stream.at}: {error} on {shown(received)}") from error
    return None if end is None else len(text[:end].encode("utf-8", "surrogateescape"))


def _unmet(kind: ErrorType, step: Step, stream: Stream, why: str = "") -> TargetError:
    came = shown(stream.buffered())
    return fail(kind, f"{stream.at}: expected {step.expected()}, came {came}{why}")


def _without_end(error: TargetError, step: Step, stream: Stream) -> TargetError:
    """The connection ended, or the time: an answer that is another one is no missing answer."""
    kind = error.failure.type
    late_or_over = (ErrorType.FIRST_BYTE_TIMEOUT, ErrorType.PROTOCOL)
    if stream.buffered() and kind in late_or_over:
        kind = ErrorType.UNEXPECTED
    came = f"expected {step.expected()}, came {shown(stream.buffered())}"
    return TargetError(
        replace(error.failure, type=kind, message=f"{error.failure.message}: {came}")
    )


def _bytes(text: str | None, encoded: str | None) -> bytes | None:
    if text is not None:
        return text.encode("utf-8", "surrogatepass")
    return None if encoded is None else base64.b64decode(encoded)
