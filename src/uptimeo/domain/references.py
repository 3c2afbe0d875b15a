"""Which values does a config row take from elsewhere? References in its texts. Pure.

A reference is `{{env:NAME}}`, `{{file:PATH}}` or `{{secret:NAME}}`, alone or within a text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_REFERENCE = re.compile(r"\{\{\s*(env|file|secret)\s*:\s*([^{}]*?)\s*\}\}")
_LONGEST_SHOWN = 80
# No probe takes anything deeper.
_DEEPEST = 200


class Source(StrEnum):
    """Where a value is: a variable or file of the agent's host, or a sealed row."""

    ENV = "env"
    FILE = "file"
    SECRET = "secret"  # noqa: S105 - a word, no secret


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The name of a value; the value itself is nowhere in it."""

    source: Source
    name: str

    def __str__(self) -> str:
        return f"{{{{{self.source}:{self.name[:_LONGEST_SHOWN]}}}}}"


@dataclass(frozen=True, slots=True)
class Values:
    """What references stand for; of each one that cannot be resolved, why not."""

    known: Mapping[Reference, str] = field(default_factory=dict, repr=False)
    missing: Mapping[Reference, str] = field(default_factory=dict)


def references(value: Any) -> frozenset[Reference]:
    """Every reference in the texts of a JSON value, 200 deep; keys are not looked at."""
    return frozenset(_found(value, _DEEPEST))


def resolved(value: Any, known: Mapping[Reference, str], depth: int = _DEEPEST) -> Any:
    """The JSON value with the references that are known replaced; other ones stay."""
    match value:
        case str():
            return _REFERENCE.sub(lambda found: known.get(_named(found), found[0]), value)
        case dict() if depth > 0:
            return {key: resolved(each, known, depth - 1) for key, each in value.items()}
        case list() | tuple() if depth > 0:
            return [resolved(each, known, depth - 1) for each in value]
        case _:
            return value


def _found(value: Any, depth: int) -> Iterator[Reference]:
    match value:
        case str():
            if "{{" in value:
                yield from map(_named, _REFERENCE.finditer(value))
        case dict() if depth > 0:
            for each in value.values():
                yield from _found(each, depth - 1)
        case list() | tuple() if depth > 0:
            for each in value:
                yield from _found(each, depth - 1)


def _named(found: re.Match[str]) -> Reference:
    return Reference(Source(found[1]), found[2])
