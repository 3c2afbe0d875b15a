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
# What is stored is never deeper.
_DEEPEST = 80
_HARMLESS = ("_url", "_sha256", "_in")
_PASSWORD_NAMES = ("passw", "passphrase", "pwd")
_PLAIN = re.compile(r"[A-Za-z0-9]+")
_SIX_BITS = {"+": r"(?:[+-]|%2b|%2d)", "/": r"(?:\\?/|_|%2f|%5f)"}


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of a value in small letters. No text without the anchor has it: that is fast.

    The pattern is compiled when it is needed, which of most values it never is.
    """

    anchor: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces the values of the secrets of one monitor; without values it changes nothing."""

    values: frozenset[str] = field(default=frozenset(), repr=False)
    _forms: tuple[_Form, ...] = field(init=False, repr=False, compare=False)
    _beginnings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = sorted(filter(None, self.values))
        forms = tuple(form for value in values for form in _forms(value))
        beginnings = tuple(begin for value in values for begin in _plain_forms(value))
        object.__setattr__(self, "_forms", forms)
        object.__setattr__(self, "_beginnings", beginnings)

    def text(self, text: str) -> str:
        """The text without any value; nor with the beginning of one where it was cut."""
        if not self._forms:
            return text
        small = _small(text)
        spans = [
            found.span()
            for form in self._forms
            if form.anchor in small
            for found in re.finditer(form.pattern, small)
        ]
        return self._without_beginning(_without(text, spans))

    def body(self, body: bytes) -> bytes:
        """Bytes, of which everything else stays as it is."""
        if not self._forms:
            return body
        return self.text(body.decode("latin-1")).encode("latin-1", "replace")

    def value(self, value: Any, depth: int = _DEEPEST) -> Any:
        """A JSON value, keys and numbers too; what JSON does not know becomes its text."""
        if not self._forms or value is None or isinstance(value, bool):
            return value
        match value:
            case int() | float():
                return value if self.text(str(value)) == str(value) else REDACTED
            case Mapping() | list() | tuple() if depth == 0:
                return REDACTED
            case Mapping():
                pairs = value.items()
                return {self.text(str(key)): self.value(each, depth - 1) for key, each in pairs}
            case list() | tuple():
                return [self.value(each, depth - 1) for each in value]
            case _:
                return self.text(str(value))

    def result(self, result: ProbeResult) -> ProbeResult:
        """Everything that came of a probe."""
        if not self._forms:
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
        small = _small(kept)
        for begin in self._beginnings:
            at = small.find(begin[:_LEAST_PART], max(0, len(small) - len(begin)))
            while at >= 0:
                if begin.startswith(small[at:]):
                    return kept[:at] + REDACTED + text[len(kept) :]
                at = small.find(begin[:_LEAST_PART], at + 1)
        return text


def literal_secrets(value: Any, name: str = "", depth: int = _DEEPEST) -> Iterator[str]:
    """The texts of a row that stand where secrets do: by their names, and passwords of URLs."""
    match value:
        case str():
            if is_sensitive_name(name):
                yield from _long_enough(value, value.rpartition(" ")[2])
            yield from _long_enough(*_PASSWORD.findall(value))
        case Mapping() if depth > 0:
            for key, each in value.items():
                yield from literal_secrets(each, str(key), depth - 1)
        case list() | tuple() if depth > 0:
            for each in value:
                yield from literal_secrets(each, name, depth - 1)


def is_sensitive_name(name: str) -> bool:
    """Whether what stands under that name, of a header or an option, must not be shown."""
    lower = name.lower()
    named = is_secret_header(name) or any(word in lower for word in _PASSWORD_NAMES)
    return named and not lower.endswith(_HARMLESS)


def _long_enough(*texts: str) -> Iterable[str]:
    return (text for text in texts if len(text) >= _SHORTEST_LITERAL)


def _small(text: str) -> str:
    """In small letters, and as long as before."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with each stretch that is covered by spans replaced once."""
    kept, end = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            kept += [text[end:start], REDACTED]
        end = max(end, stop)
    return "".join([*kept, text[end:]])


def _forms(value: str) -> Iterator[_Form]:
    """Every form that is looked for."""
    raw = value.encode("utf-8", "replace")
    yield _Form(_anchor(value), "".join(map(_character, value)))
    yield _Form(raw.hex(), raw.hex())
    for offset in range(3):
        encoded, first, last = _encoded(raw, offset)
        # A digit that also holds bits of a neighbour is taken with it.
        before = "[a-z0-9+/_-]?" if offset else ""
        after = "[a-z0-9+/_-]?" if (offset + len(raw)) % 3 else ""
        core = encoded[first:last]
        digits = "".join(_SIX_BITS.get(digit, digit) for digit in core.lower())
        yield _Form(_anchor(core), f"{before}{digits}{after}")


def _anchor(text: str) -> str:
    """The longest run of characters that no encoding changes."""
    return max(_PLAIN.findall(text), key=len, default="").lower()


def _plain_forms(value: str) -> Iterator[str]:
    """The forms of which a cut text may end in a beginning, in small letters."""
    for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
        yield _small(form)
    for offset in range(3):
        encoded, first, last = _encoded(value.encode("utf-8", "replace"), offset)
        yield encoded[first:last].lower()


def _character(character: str) -> str:
    """A pattern for one character, however it was encoded."""
    if _PLAIN.fullmatch(character):
        return character.lower()
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
    longest_first = sorted({_small(form) for form in forms}, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, longest_first))})"


def _encoded(value: bytes, offset: int) -> tuple[str, int, int]:
    """The base64 of a value after that many bytes, and the part of it that is only the value's."""
    encoded = b64encode(bytes(offset) + value).decode().rstrip("=")
    return encoded, (offset * 8 + 5) // 6, (offset + len(value)) * 8 // 6
