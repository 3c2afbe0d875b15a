"""How are fixed words exchanged with a server, and what if it answers with others?"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from uptimeo.probes.base import ErrorType, ProbeContext, Stream, TargetError, fail, one_line
from uptimeo.probes.dialogues.framing import Frame

_SHOWN = 200
Fault = Callable[[bytes], ErrorType | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What we say (b"": the server speaks first), and what has to come then.

    `frame` finds the end of the answer, `fault` says what is wrong with it if anything is, and
    `expected` says in words what should have come.
    """

    says: bytes = b""
    frame: Frame
    fault: Fault
    expected: str


def begins(*starts: bytes, otherwise: ErrorType = ErrorType.UNEXPECTED) -> Fault:
    """The judgement that an answer has to begin with one of these."""
    return lambda answer: None if answer.startswith(starts) else otherwise


async def take(turn: Turn, stream: Stream, context: ProbeContext) -> bytes:
    """Say our words and return the answer. Raises TargetError: expected …, came …."""
    if turn.says:
        await stream.send(turn.says)
    answer = await _receive(turn, stream, context.limits.line_bytes)
    if (kind := turn.fault(answer)) is not None:
        raise fail(kind, f"{stream.at}: expected {turn.expected}, came {shown(answer.strip())}")
    return answer


async def take_all(turns: Iterable[Turn], stream: Stream, context: ProbeContext) -> None:
    """Take one turn after the other."""
    for turn in turns:
        await take(turn, stream, context)


def shown(received: bytes) -> str:
    """What came, for a message: its start, and nothing unprintable."""
    if not received:
        return "nothing"
    text = one_line(received[: _SHOWN * 4].decode("utf-8", "replace"), _SHOWN)
    return f"'{text}'"


async def _receive(turn: Turn, stream: Stream, most: int) -> bytes:
    while (end := turn.frame(stream.buffered())) is None:
        received = stream.buffered()
        if len(received) > most:
            text = f"{stream.at}: expected {turn.expected}, came more than {most} bytes: "
            raise fail(ErrorType.BODY_TOO_LARGE, text + shown(received.strip()))
        try:
            await stream.more()
        except TargetError as error:
            came = f"expected {turn.expected}, came {shown(received.strip())}"
            text = f"{error.failure.message}: {came}"
            raise TargetError(replace(error.failure, message=text)) from error
    return await stream.read_exactly(end)
