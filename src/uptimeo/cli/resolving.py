"""What do the references on a command line stand for, on this host and without a database?"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from uptimeo.cli.options import GivenOption
from uptimeo.domain.redaction import Redactor, literal_secrets
from uptimeo.domain.references import Source, references, resolved
from uptimeo.settings import read_values


def resolved_here(
    flags: Mapping[str, Any], options: Sequence[GivenOption]
) -> tuple[dict[str, Any], tuple[GivenOption, ...], Redactor]:
    """Flags and options with their values, and what hides these.

    Raises UsageError that names the reference which cannot be resolved.
    """
    given = {**flags, **{option.path[-1]: option.value for option in options}}
    wanted = references(given)
    if sealed := [each for each in sorted(wanted) if each.source is Source.SECRET]:
        raise click.UsageError(f"{sealed[0]} is in a database: see --from-monitor")
    values = read_values(os.environ).read(wanted)
    for reference, why in values.missing.items():
        raise click.UsageError(f"{reference} {why}")
    literal = {text for text in literal_secrets(given) if not references(text)}
    return (
        resolved(dict(flags), values.known),
        tuple(
            replace(
                option,
                value=resolved(option.value, values.known),
                text=resolved(option.text, values.known),
            )
            for option in options
        ),
        Redactor(frozenset({*values.known.values(), *literal})),
    )
