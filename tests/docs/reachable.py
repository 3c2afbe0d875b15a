"""Which error classes does the code of a probe type name, itself and in what it imports?"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import uptimeo
from uptimeo.domain.result import ErrorType
from uptimeo.probes.base import Probe

_ROOT = Path(uptimeo.__file__).parents[1]
_PROBES = "uptimeo.probes"
# What every type may use: of that, a type gives only what fits it.
_SHARED = tuple(
    f"{_PROBES}.{name}" for name in ("base", "context", "failing", "timeline", "network", "answers")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The classes named in the type's own modules, and in all that it can reach."""

    own: frozenset[ErrorType]
    reachable: frozenset[ErrorType]


def of_type(kind: type[Probe[Any]]) -> Named:
    """The error classes of one probe type."""
    everything = _imported(kind.__module__, ())
    own = _imported(kind.__module__, _SHARED)
    return Named(own=_named(own), reachable=_named(everything))


def _imported(start: str, without: tuple[str, ...]) -> set[str]:
    """The module and every one of the probes' that it imports, also through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += [
                each for each in _imports(module) if not each.startswith(without or ("\n",))
            ]
    return seen


@cache
def _imports(module: str) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(_text(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PROBES):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return frozenset(each for each in found if _path(each) is not None)


def _named(modules: set[str]) -> frozenset[ErrorType]:
    names = {name for each in modules for name in re.findall(r"ErrorType\.([A-Z_]+)", _text(each))}
    return frozenset(ErrorType[name] for name in names)


@cache
def _text(module: str) -> str:
    path = _path(module)
    assert path is not None
    return path.read_text("utf-8")


def _path(module: str) -> Path | None:
    plain = _ROOT.joinpath(*module.split("."))
    return next(
        (path for path in (plain.with_suffix(".py"), plain / "__init__.py") if path.is_file()), None
    )
