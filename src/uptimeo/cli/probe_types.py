"""`uptimeo probe-types`: what can be checked here, with which options?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from textwrap import wrap
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from uptimeo.cli.schemas import (
    COLUMNS,
    OptionWords,
    about,
    fields_of,
    kind_of,
    options_of,
    schema_of,
)
from uptimeo.domain.text import one_line
from uptimeo.probes.registry import GROUP, ProbeRegistry

_WIDEST = 100
_INDENT = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeType:
    """One kind of probe under all the names that it has."""

    names: tuple[str, ...]
    package: str
    about: str
    schema: dict[str, Any] = field(repr=False)

    def as_json(self, name: str) -> dict[str, Any]:
        """What is printed of it under one of its names."""
        return {
            "type": name,
            "package": self.package,
            "about": self.about,
            "columns": [each for each in COLUMNS if each in self.schema["properties"]],
            "schema": self.schema,
        }


@click.command("probe-types")
@click.argument("name", required=False, metavar="[TYPE]")
@click.option("--json", "as_json", is_flag=True, help="A JSON schema of the options of each type.")
def probe_types(*, name: str | None, as_json: bool) -> None:
    """List the installed probe types with their options and defaults, or all of TYPE.

    `url`, `method`, `headers` and `body` are columns of the monitor's row, where a type has them.
    Every other option is a key of the column `options`: `uptimeo monitor add URL -o NAME=VALUE`.
    """
    registry = ProbeRegistry.installed()
    wanted = None if name is None else _known(name, registry)
    types = [each for each in installed_types(registry) if wanted is None or wanted in each.names]
    if as_json:
        shown = [(each, name) for each in types for name in each.names if wanted in (None, name)]
        found = [each.as_json(name) for each, name in sorted(shown, key=lambda pair: pair[1])]
        click.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False)
    width = min(console.width, _WIDEST)
    lines = _overview(types, width) if wanted is None else _detail(types[0], width)
    for line in lines:
        console.print(line)


def installed_types(registry: ProbeRegistry) -> list[ProbeType]:
    """The probe types, by their first names."""
    points = {point.name.lower(): point for point in entry_points(group=GROUP)}
    by_probe: dict[int, list[str]] = {}
    for name in registry.names():
        by_probe.setdefault(id(registry.get(name)), []).append(name)
    return [_probe_type(tuple(names), registry, points) for names in by_probe.values()]


def _probe_type(
    names: tuple[str, ...], registry: ProbeRegistry, points: dict[str, EntryPoint]
) -> ProbeType:
    probe = registry.get(names[0])
    assert probe is not None
    dist = points[names[0]].dist
    return ProbeType(
        names=names,
        package="" if dist is None else f"{dist.name} {dist.version}",
        about=one_line(" ".join((type(probe).__doc__ or "").partition("\n\n")[0].split()), 300),
        schema=schema_of(probe.options),
    )


def _known(name: str, registry: ProbeRegistry) -> str:
    if registry.get(name) is None:
        known = ", ".join(registry.names())
        raise click.UsageError(f"there is no probe type {name!r}; there are: {known}")
    return name.lower()


def _overview(types: list[ProbeType], width: int) -> Iterator[Text]:
    """Each type with what it takes, in as few lines as it needs."""
    for each in types:
        yield from _heading(each, width)
        given = [_assignment(option) for option in options_of(each.schema)]
        for line in wrap(", ".join(given), width - 2, break_on_hyphens=False):
            yield Text(f"  {line}", no_wrap=True)
        yield Text()
    yield Text("* is required. `uptimeo probe-types TYPE` has the meaning of each.", "dim")


def _assignment(option: OptionWords) -> str:
    if option.required:
        return f"{option.name}*"
    # Kept together by wrap() as one word.
    default = option.default_text.replace(" ", "\N{NO-BREAK SPACE}")
    return f"{option.name}={default}" if default else option.name


def _heading(each: ProbeType, width: int) -> Iterator[Text]:
    names = ", ".join(each.names)
    gap = max(2, width - len(names) - len(each.package))
    yield Text.assemble((names, "bold"), " " * gap, (each.package, "dim"), no_wrap=True)
    for line in wrap(each.about, width - 2):
        yield Text(f"  {line}")


def _detail(each: ProbeType, width: int) -> Iterator[Text]:
    yield from _heading(each, width)
    options = options_of(each.schema)
    for option in options:
        yield Text()
        yield from _option(option, "  ", width)
    for name in _in_order(options):
        yield Text()
        kind = kind_of(each.schema, name)
        where = ", ".join(option.name for option in options if name in option.objects)
        head = f"  {where}" if kind is None else f'  {where}: {{"kind": "{kind}"}}'
        yield Text(head, "bold underline")
        for line in wrap(about(each.schema, name), width - len(_INDENT)):
            yield Text(_INDENT + line)
        for inner in fields_of(each.schema, name):
            yield from _option(inner, _INDENT, width)


def _in_order(options: list[OptionWords]) -> list[str]:
    """The objects that options are, each once, in the order of the options."""
    return list(dict.fromkeys(name for option in options for name in option.objects))


def _option(option: OptionWords, indent: str, width: int) -> Iterator[Text]:
    column = ", a column" if option.column != "options" else ""
    default = f", by default {option.default_text}" if option.default_text else ""
    words = f"{option.kind}{', required' if option.required else default}{column}"
    head = f"{indent}{option.name:<18}  "
    lines = wrap(words, width - len(head)) or [""]
    yield Text.assemble((head, "bold"), (lines[0], "cyan"), no_wrap=True)
    for line in lines[1:]:
        yield Text(" " * len(head) + line, "cyan")
    for line in wrap(option.about, width - len(indent) - 4):
        yield Text(f"{indent}    {line}")
