"""Is the answer of a DNS server the one that was expected? Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from uptimeo.domain.result import ErrorType, Failure
from uptimeo.domain.text import one_line
from uptimeo.probes.answers.matching import TIME_LIMIT_S, PatternTimeoutError, occurs
from uptimeo.probes.dns.messages import Answer, Question, Record, is_older

_FEW = 5
_MAX_TEXT = 300
_FLAGS = {
    "AD": "one that the server has verified (no AD flag)",
    "AA": "one of a server responsible for the name (no AA flag)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What has to hold of an answer; each is as in `DnsOptions`."""

    rcodes: tuple[str, ...] = ("NOERROR",)
    flags: tuple[str, ...] = ()
    min_answers: int | None = None
    answers: tuple[Record, ...] = ()
    match: Literal["exact", "includes", "within"] = "exact"
    forbidden: tuple[Record, ...] = ()
    matches: str | None = None
    not_matches: str | None = None
    min_serial: int | None = None


def judge_answer(
    question: Question, wanted: Expectations, answer: Answer, at: str
) -> Failure | None:
    """The first expectation of the answer from that address that does not hold, or None."""
    what = f"{question.name} {question.kind}"
    if answer.rcode not in wanted.rcodes:
        told = f" ({'; '.join(answer.errors)})" if answer.errors else ""
        text = f"{at} answers {answer.rcode}{told} for {what}"
        text = f"{text}, expected {' or '.join(wanted.rcodes)}"
        return Failure(type=ErrorType.DNS_RCODE, message=text)
    reason = next(_reasons(wanted, answer), None)
    if reason is None:
        return None
    text = f"{at} answers {_shown(answer.records)} for {what}, expected {reason}"
    return Failure(type=ErrorType.UNEXPECTED, message=text)


def _reasons(wanted: Expectations, answer: Answer) -> Iterator[str]:
    yield from (_FLAGS[flag] for flag in wanted.flags if not answer.has(flag))
    least = wanted.min_answers
    if least is None:
        least = 1 if answer.rcode == "NOERROR" and "NOERROR" in wanted.rcodes else 0
    if len(answer.records) < least:
        yield f"at least {least}"
    yield from _of_records(wanted, answer)
    yield from _of_patterns(wanted, answer)
    if wanted.min_serial is not None:
        serial = answer.serial
        if serial is None or is_older(serial, wanted.min_serial):
            yield f"serial {wanted.min_serial} or later"


def _of_records(wanted: Expectations, answer: Answer) -> Iterator[str]:
    there = {each.digest for each in answer.records}
    expected = {each.digest for each in wanted.answers}
    if wanted.answers:
        missing = wanted.match in ("exact", "includes") and not expected <= there
        foreign = wanted.match in ("exact", "within") and not there <= expected
        word = {"exact": "exactly", "includes": "also", "within": "nothing but"}[wanted.match]
        if missing or foreign:
            yield f"{word} {_shown(wanted.answers)}"
    found = [each for each in wanted.forbidden if each.digest in there]
    if found:
        yield f"not {_shown(found)}"


def _of_patterns(wanted: Expectations, answer: Answer) -> Iterator[str]:
    try:
        if wanted.matches is not None and not _found(wanted.matches, answer):
            yield f"a record that matches {wanted.matches!r}"
        if wanted.not_matches is not None and _found(wanted.not_matches, answer):
            yield f"no record that matches {wanted.not_matches!r}"
    except PatternTimeoutError as error:
        yield f"a pattern that can be judged: {error}"


def _found(pattern: str, answer: Answer) -> bool:
    limit_s = TIME_LIMIT_S / max(1, len(answer.records))
    return any(occurs(pattern, each.text, limit_s) for each in answer.records)


def _shown(records: Sequence[Record]) -> str:
    if not records:
        return "no record"
    texts = sorted(each.text for each in records)
    more = f" and {len(texts) - _FEW} more" if len(texts) > _FEW else ""
    return one_line(", ".join(texts[:_FEW]), _MAX_TEXT) + more
