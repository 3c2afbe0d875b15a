"""How are options of a probe written on the command line, whatever its type?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from uptimeo.domain.text import one_line
from uptimeo.probes.base import ProbeOptions

_MAX_FILE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class GivenOption:
    """One `--option NAME=VALUE`; a name with dots reaches into an option that is an object."""

    path: tuple[str, ...]
    value: Any
    text: str


def read_options(
    _context: click.Context, _option: click.Parameter, lines: tuple[str, ...]
) -> tuple[GivenOption, ...]:
    """`--option NAME=VALUE`, repeated: JSON, or else a text; `@FILE` is the text in a file."""
    given: dict[tuple[str, ...], GivenOption] = {}
    for line in lines:
        name, found, text = line.partition("=")
        path = tuple(part.strip() for part in name.split("."))
        shown = one_line(name, 40)
        if not found or not all(path):
            # What follows the name may be a secret.
            raise click.BadParameter(f"{shown!r} is not followed by '=': write NAME=VALUE")
        if any(path[: len(other)] == other or other[: len(path)] == path for other in given):
            raise click.BadParameter(f"{shown!r} is given twice")
        given[path] = _read(path, text)
    return tuple(given.values())


def validated(
    model: type[ProbeOptions], flags: Mapping[str, Any], given: Sequence[GivenOption]
) -> ProbeOptions:
    """The options of a probe. Raises ValidationError, and UsageError for what is said twice.

    Of `http_version=2` only the model knows whether it is a number or a text: what it refuses as
    JSON is tried as the text that it was.
    """
    for option in given:
        if option.path[0] in flags:
            raise click.UsageError(f"--option {option.path[0]} and the flag for it: leave out one")
    as_text: set[tuple[str, ...]] = set()
    while True:
        try:
            return model.model_validate(_merged(flags, given, as_text))
        except ValidationError as error:
            again = {
                option.path
                for option in given
                if option.path not in as_text and _is_ambiguous(option) and _concerns(error, option)
            }
            if not again:
                raise
            as_text |= again


def _read(path: tuple[str, ...], text: str) -> GivenOption:
    if text.startswith("@"):
        content = _content(Path(text[1:]))
        return GivenOption(path, content, content)
    try:
        return GivenOption(path, json.loads(text), text)
    except (ValueError, RecursionError):
        return GivenOption(path, text, text)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8")
    except OSError as error:
        raise click.BadParameter(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"'{path}' is not a text file") from error


def _merged(
    flags: Mapping[str, Any], given: Sequence[GivenOption], as_text: set[tuple[str, ...]]
) -> dict[str, Any]:
    merged = dict(flags)
    for option in given:
        inner = merged
        for part in option.path[:-1]:
            inner = inner.setdefault(part, {})
        inner[option.path[-1]] = option.text if option.path in as_text else option.value
    return merged


def _is_ambiguous(option: GivenOption) -> bool:
    return not isinstance(option.value, str | dict | list)


def _concerns(error: ValidationError, option: GivenOption) -> bool:
    """Whether one of the faults lies in that option; a union has its kinds in between."""
    places = (fault["loc"] for fault in error.errors(include_url=False, include_input=False))
    return any(
        place and place[0] == option.path[0] and set(option.path) <= set(place) for place in places
    )
