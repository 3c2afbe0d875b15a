"""Which events does the source write to the log, and which does the guide explain?"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "uptimeo"
PAGE = ROOT / "docs" / "operations.md"
LEVELS = ("debug", "info", "warning", "error", "critical")
ALERTABLE = frozenset({"warning", "error", "critical"})
# A row of the guide's table: event, level, meaning, cause, action.
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|(.+)\|$", re.MULTILINE)


def written() -> Iterator[tuple[str, str]]:
    """Every event of the source, with its level, once for each place that writes it."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield from events(file.read_text("utf-8"))


def events(text: str) -> Iterator[tuple[str, str]]:
    """The events of one file. Raises ValueError for one whose name is no constant."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and (level := _level(node.func)) is not None:
            name = node.args[0] if node.args else None
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                raise ValueError(f"line {node.lineno}: the name of an event is a constant")
            yield name.value, level


def explained(page: str) -> dict[str, tuple[str, list[str]]]:
    """The events of the guide's table: their level, and what the other cells say."""
    return {
        name: (level, [cell.strip() for cell in cells.split("|")])
        for name, level, cells in _ROW.findall(page)
    }


def _level(function: ast.expr) -> str | None:
    """The level if this is a call of the logger that `Log` has; None if it is anything else."""
    if (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and isinstance(function.value, ast.Attribute)
        and function.value.attr == "_logger"
    ):
        return function.attr
    return None
