"""`uptimeo probe-types`: what can be checked here, with which options?"""

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from uptimeo.domain.text import one_line
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.registry import GROUP, ProbeRegistry

_COLUMNS = ("url", "method", "headers", "body")


@click.command("probe-types")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def probe_types(*, name: str | None, as_json: bool) -> None:
    """List the installed probe types with their options and defaults, or only NAME.

    Columns of the monitor's row are `url`, `method`, `headers` and `body`, where a type has them;
    every other option belongs into the column `options`: `uptimeo monitor add -o NAME=JSON`.
    """
    registry = ProbeRegistry.installed()
    types = [_as_json(each, registry) for each in _wanted(name, registry)]
    if as_json:
        click.echo(json.dumps(types, indent=2))
        return
    console = Console(highlight=False)
    for number, each in enumerate(types):
        if number:
            console.print()
        console.print(Text(each["type"], "bold"), Text(f"from {each['package']}", "dim"))
        console.print(_table(each["options"]))


def _wanted(name: str | None, registry: ProbeRegistry) -> list[str]:
    if name is None:
        return registry.names()
    if registry.get(name) is None:
        known = ", ".join(registry.names())
        raise click.UsageError(f"there is no probe type {name!r}; there are: {known}")
    return [name.lower()]


def _as_json(name: str, registry: ProbeRegistry) -> dict[str, Any]:
    probe = registry.get(name)
    assert probe is not None
    point = next(each for each in entry_points(group=GROUP) if each.name.lower() == name)
    return {
        "type": name,
        "package": _package(point),
        "about": one_line((probe.options.__doc__ or "").strip().partition("\n")[0], 200),
        "options": [_option(path, column, field) for path, column, field in _fields(probe.options)],
    }


def _package(point: EntryPoint) -> str | None:
    return None if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _fields(options: type[ProbeOptions]) -> Iterator[tuple[str, str, FieldInfo]]:
    """Name, column and field: first the columns of the row, then the others as declared."""
    fields = options.model_fields
    for name in _COLUMNS:
        if name in fields:
            yield name, name, fields[name]
    for name, field in fields.items():
        if name in _COLUMNS:
            continue
        yield field.alias or name, "options", field
        for inner, each in _nested(field.annotation):
            yield f"{field.alias or name}.{each.alias or inner}", "options", each


def _nested(annotation: Any) -> list[tuple[str, FieldInfo]]:
    """The fields of an option that is an object of options itself, such as `tls`."""
    for kind in get_args(annotation) or (annotation,):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return list(kind.model_fields.items())
    return []


def _option(path: str, column: str, field: FieldInfo) -> dict[str, Any]:
    return {
        "name": path,
        "column": column,
        "type": _type(field.annotation),
        "required": field.is_required(),
        "default": None if field.is_required() else _default(field),
        "about": field.description,
    }


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return json.loads(json.dumps(value, default=str))


def _type(annotation: Any) -> str:
    """The annotation as people write it, without the modules that it comes from."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    text = str(annotation).replace("typing.", "").replace("NoneType", "None")
    return one_line(" | ".join(part.rpartition(".")[2] for part in text.split(" | ")), 100)


def _table(options: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("option", "column", "type", "default"):
        table.add_column(heading, overflow="fold")
    for each in options:
        default = "required" if each["required"] else json.dumps(each["default"])
        table.add_row(each["name"], each["column"], Text(each["type"]), Text(default))
    return table
