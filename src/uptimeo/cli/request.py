"""How are a request's headers and body written on the command line?"""

import json
from typing import Any

import click

from uptimeo.domain.text import one_line


def read_headers(
    _context: click.Context, _option: click.Parameter, lines: tuple[str, ...]
) -> dict[str, str] | None:
    """`-H "Name: value"`, repeated, as headers; None without any."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            # Only the first word is repeated: what follows may be a secret.
            word = one_line(line.partition(" ")[0], 40)
            raise click.BadParameter(f"{word!r} is not followed by a colon: write 'Name: value'")
        if name.strip().lower() in {known.lower() for known in headers}:
            raise click.BadParameter(f"{one_line(name.strip(), 40)!r} is given twice")
        headers[name.strip()] = value.strip()
    return headers or None


def read_body(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    """`-d TEXT`: a JSON object or array is parsed; anything else stays the text it is."""
    if text is None or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(constant: str) -> Any:
    raise ValueError(constant)
