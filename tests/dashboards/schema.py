"""Does a dashboard fit the classes that Grafana Labs generate from Grafana's own schema?

`grafana_foundation_sdk` reads what it knows and drops the rest, and checks no types. So what it
read is written again and compared, and every value is held against the type that is declared.
"""

import enum
import json
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    # It would rather have the format of Grafana 12 and later, which earlier ones cannot read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

# It has no class for this one; these are the fields of SQLQuery in Grafana's own `@grafana/sql`.
_SQL_QUERY = {
    "refId": str,
    "datasource": dict,
    "editorMode": str,
    "rawQuery": bool,
    "rawSql": str,
    "format": str,
}


def complaints(dashboard: dict[str, Any]) -> list[str]:
    """What does not fit; empty: all does."""
    register_default_plugins()
    found = [*_unfit(Dashboard, dashboard, "dashboard"), *_sql_queries(dashboard)]
    for panel in dashboard["panels"]:
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            where = f"{panel['title']}, {override['matcher']['options']}"
            found += _unfit(Panel, panel | {"fieldConfig": _as_default(override)}, where)
    return found


def _as_default(override: dict[str, Any]) -> dict[str, Any]:
    """What an override sets, where the schema says what it may be."""
    plain: dict[str, Any] = {}
    for each in override["properties"]:
        name = each["id"].removeprefix("custom.")
        group = plain.setdefault("custom", {}) if name != each["id"] else plain
        group[name] = each["value"]
    return {"defaults": plain, "overrides": []}


def _unfit(model: Any, ours: dict[str, Any], where: str) -> list[str]:
    read = model.from_json(ours)
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    return [*_dropped(ours, written, where), *_mistyped(read, where)]


def _dropped(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield f"{where}.{key} is not in the schema"
            else:
                yield from _dropped(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _dropped(one, other, f"{where}[{number}]")
    elif ours != theirs:
        yield f"{where} is {ours!r}, and was read as {theirs!r}"


def _mistyped(value: Any, where: str) -> Iterator[str]:
    kind = type(value)
    if kind.__module__.startswith("grafana_foundation_sdk.models"):
        module = vars(sys.modules[kind.__module__])
        for name, declared in typing.get_type_hints(kind, module).items():
            held = getattr(value, name)
            if not _fits(held, declared):
                yield f"{where}.{name} is {held!r}, and should be {declared}"
            yield from _mistyped(held, f"{where}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _mistyped(each, f"{where}[{number}]")


def _fits(value: Any, declared: Any) -> bool:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(x, arguments[1]) for x in value.values())
    return declared in (Any, object) or _is(value, declared)


def _is(value: Any, declared: Any) -> bool:
    if isinstance(value, dict) and hasattr(declared, "from_json"):
        # What it left as it was.
        return not _unfit(declared, value, "")
    if issubclass(declared, enum.Enum):
        return value in {each.value for each in declared}
    if declared in (int, float):
        number = int if declared is int else int | float
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, declared)


def _sql_queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"]["type"] != "grafana-postgresql-datasource":
                continue
            where = f"{panel['title']}, query {target['refId']}"
            for key in target.keys() ^ _SQL_QUERY.keys():
                yield f"{where}: {key}"
            if target["format"] not in ("table", "time_series"):
                yield f"{where}: format {target['format']}"
            for key, kind in _SQL_QUERY.items():
                if not isinstance(target.get(key), kind):
                    yield f"{where}: {key} is {target.get(key)!r}"
