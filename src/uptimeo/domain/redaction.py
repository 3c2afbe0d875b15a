"""How are the values of secrets kept out of what is stored, logged and shown? Pure.

A value is found as it is, percent-encoded, escaped as in JSON, HTML or Python, in hexadecimal, and
in base64 at any offset. Large and small letters count as the same: rather too much is hidden.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from uptimeo.domain.result import Exchange, Failure, ProbeResult
from uptimeo.domain.text import REDACTED, is_secret_header

# Fewer characters of the beginning of a value, at the end of a text that was cut, tell nothing.
_LEAST_PART = 4
_CUT_ENDS = "\N{HORIZONTAL ELLIPSIS}'\". "
# A shorter literal may be an ordinary word.
_SHORTEST_LITERAL = 8
_PASSWORD = re.compile(r"://[^/?#\s:@]*:([^/?#\s]*)@")
_HARMLESS = ("_url", "_sha256", "_in")
_SIX_BITS = {"+": r"(?:[+-]|%2b|%2d)", "/": r"(?:\\?/|_|%2f|%5f)"}


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces the values of the secrets of one monitor; without values it changes nothing."""

    values: frozenset[str] = field(default=frozenset(), repr=False)
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _beginnings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        longest_first = sorted(filter(None, self.values), key=lambda value: (-len(value), value))
        forms = [form for value in longest_first for form in _forms(value)]
        pattern = re.compile("|".join(forms), re.IGNORECASE) if forms else None
        object.__setattr__(self, "_pattern", pattern)
        beginnings = tuple(begin for value in longest_first for begin in _plain_forms(value))
        object.__setattr__(self, "_beginnings", beginnings)

    def text(self, text: str) -> str:
        """The text without any value; nor with the beginning of one where it was cut."""
        if self._pattern is None:
            return text
        return self._without_beginning(self._pattern.sub(REDACTED, text))

    def body(self, body: bytes) -> bytes:
        """Bytes, of which everything else stays as it is."""
        if self._pattern is None:
            return body
        return self.text(body.decode("latin-1")).encode("latin-1", "replace")

    def value(self, value: Any) -> Any:
        """A JSON value, keys and numbers too; what JSON does not know becomes its text."""
        if self._pattern is None:
            return value
        match value:
            case None | bool():
                return value
            case int() | float():
                return value if self.text(str(value)) == str(value) else REDACTED
            case Mapping():
                return {self.text(str(key)): self.value(each) for key, each in value.items()}
            case list() | tuple():
                return [self.value(each) for each in value]
            case _:
                return self.text(str(value))

    def result(self, result: ProbeResult) -> ProbeResult:
        """Everything that came of a probe."""
        if self._pattern is None:
            return result
        failure, exchange = result.failure, result.exchange
        return replace(
            result,
            failure=None if failure is None else self.failure(failure),
            exchange=None if exchange is None else self._exchange(exchange),
            facts=self.value(result.facts),
            certificate=self.value(result.certificate),
        )

    def failure(self, failure: Failure) -> Failure:
        """The failure with its message redacted."""
        return replace(failure, message=self.text(failure.message))

    def _exchange(self, exchange: Exchange) -> Exchange:
        return replace(
            exchange,
            request_headers=self._headers(exchange.request_headers),
            response_headers=self._headers(exchange.response_headers),
            body_start=self.body(exchange.body_start),
        )

    def _headers(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((self.text(name), self.text(value)) for name, value in headers)

    def _without_beginning(self, text: str) -> str:
        kept = text.rstrip(_CUT_ENDS)
        low = kept.lower() if len(kept.lower()) == len(kept) else kept
        for begin in self._beginnings:
            # From its first letter on in what could still be the beginning of it.
            at = low.find(begin[:_LEAST_PART], max(0, len(low) - len(begin)))
            while at >= 0:
                if begin.startswith(low[at:]):
                    return kept[:at] + REDACTED + text[len(kept) :]
                at = low.find(begin[:_LEAST_PART], at + 1)
        return text


def literal_secrets(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a row that stand where secrets do: by their names, and passwords of URLs."""
    match value:
        case str():
            if is_sensitive_name(name):
                yield from _long_enough(value, value.rpartition(" ")[2])
            yield from _long_enough(*_PASSWORD.findall(value))
        case Mapping():
            for key, each in value.items():
                yield from literal_secrets(each, str(key))
        case list() | tuple():
            for each in value:
                yield from literal_secrets(each, name)


def is_sensitive_name(name: str) -> bool:
    """Whether what stands under that name, of a header or an option, must not be shown."""
    return is_secret_header(name) and not name.lower().endswith(_HARMLESS)


def _long_enough(*texts: str) -> Iterable[str]:
    return (text for text in texts if len(text) >= _SHORTEST_LITERAL)


def _forms(value: str) -> Iterator[str]:
    """Patterns for all the forms of a value, the most likely first."""
    yield "".join(map(_character, value))
    yield from _base64(value.encode("utf-8", "replace"))
    yield value.encode("utf-8", "replace").hex()


def _plain_forms(value: str) -> Iterator[str]:
    """The forms of which a cut text may end in a beginning, in small letters."""
    for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
        yield form.lower()
    for offset in range(3):
        encoded, first, last = _encoded(value.encode("utf-8", "replace"), offset)
        yield encoded[first:last].lower()


def _character(character: str) -> str:
    """A pattern for one character, however it was encoded."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    escaped = json.dumps(character)[1:-1]
    raw = character.encode("utf-8", "replace")
    forms = {
        character,
        "".join(f"%{byte:02x}" for byte in raw),
        raw.decode("latin-1"),
        escaped,
        json.dumps(escaped)[1:-1],
        f"\\u{code:04x}",
        f"\\x{code:02x}",
        repr(character)[1:-1],
        f"\\{character}",
        html.escape(character),
        f"&#{code};",
        f"&#x{code:x};",
        "&apos;" if character == "'" else character,
        "+" if character == " " else character,
    }
    return f"(?:{'|'.join(re.escape(form) for form in sorted(forms, key=len, reverse=True))})"


def _base64(value: bytes) -> Iterator[str]:
    """The part of a value's base64 that is the same whatever stands before and after it.

    A digit that also holds bits of a neighbour is taken with it.
    """
    for offset in range(3):
        encoded, first, last = _encoded(value, offset)
        core = "".join(_SIX_BITS.get(digit, digit) for digit in encoded[first:last])
        before = "[a-z0-9+/_-]?" if offset else ""
        after = "[a-z0-9+/_-]?" if (offset + len(value)) % 3 else ""
        yield f"{before}{core}{after}"


def _encoded(value: bytes, offset: int) -> tuple[str, int, int]:
    """The base64 of a value after that many bytes, and which of its digits are the value's."""
    encoded = b64encode(bytes(offset) + value).decode().rstrip("=")
    return encoded, (offset * 8 + 5) // 6, (offset + len(value)) * 8 // 6
