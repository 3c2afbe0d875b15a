"""How are options of a probe written on the command line, whatever its type?"""

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from uptimeo.domain.text import one_line
from uptimeo.probes.base import ProbeOptions

_MAX_FILE_BYTES = 1_048_576
_NOTHING: Mapping[str, Any] = {}
_FLAGS = {
    "url": "URL",
    "method": "--method",
    "headers": "--header",
    "body": "--data",
    "expected_status": "--expect-status",
    "follow_redirects": "--no-redirects",
    "verify_tls": "--insecure",
    "ca_pem": "--ca-file",
}


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
    model: type[ProbeOptions],
    flags: Mapping[str, Any],
    given: Sequence[GivenOption],
    kept: Mapping[str, Any] = _NOTHING,
) -> tuple[ProbeOptions, dict[str, Any]]:
    """The options of a probe, and the values that a row would hold for them.

    `kept` is what was there before. Raises ValidationError, and UsageError for what is said twice.
    Of `http_version=2` only the model knows whether it is a number or a text: what it refuses as
    JSON is tried as the text that it was.
    """
    for option in given:
        if option.path[0] in flags:
            raise click.UsageError(f"--option {option.path[0]} and the flag for it: leave out one")
    as_text: set[tuple[str, ...]] = set()
    while True:
        values = merged(flags, given, kept, as_text)
        try:
            return model.model_validate(values), values
        except ValidationError as error:
            again = {
                option.path
                for option in given
                if option.path not in as_text and _is_ambiguous(option) and _concerns(error, option)
            }
            if not again:
                raise
            as_text |= again


def complaint(error: ValidationError, kind: str, flags: Mapping[str, Any]) -> str:
    """The first fault as one line: the option, its value unless that may be secret, and why.

    `kind` is the probe type, `flags` are the options that were given by flags of their own.
    """
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = [str(part) for part in fault["loc"]]
    field = place[0] if place else ""
    option = _FLAGS.get(field, field)
    if field and field not in flags:
        option = f"--option {'.'.join(place)}"
    if fault["type"] == "extra_forbidden":
        return f"{option} means nothing to a check of {kind}://"
    why = one_line(fault["msg"].removeprefix("Value error, "), 200)
    if field in flags and field in ("url", "method", "expected_status"):
        option = f"{option} '{without_credentials(str(flags[field]))}'"
    return f"{option}: {why}" if option else why


def without_credentials(url: str) -> str:
    """A URL for a message, even one that cannot be parsed."""
    scheme, found, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return one_line(f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}", 80)


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


def merged(
    flags: Mapping[str, Any],
    given: Sequence[GivenOption],
    kept: Mapping[str, Any] = _NOTHING,
    as_text: Collection[tuple[str, ...]] = (),
) -> dict[str, Any]:
    """The values that a row would hold; those at `as_text` are the texts that were given."""
    values = deepcopy({**kept, **flags})
    for option in given:
        inner = values
        for part in option.path[:-1]:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        inner[option.path[-1]] = option.text if option.path in as_text else option.value
    return values


def _is_ambiguous(option: GivenOption) -> bool:
    return not isinstance(option.value, str | dict | list)


def _concerns(error: ValidationError, option: GivenOption) -> bool:
    """Whether one of the faults lies in that option; a union has its kinds in between."""
    places = (fault["loc"] for fault in error.errors(include_url=False, include_input=False))
    return any(
        place and place[0] == option.path[0] and set(option.path) <= set(place) for place in places
    )
