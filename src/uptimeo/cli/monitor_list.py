"""How do the config rows look in a list? Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from uptimeo.cli.masking import masked_url
from uptimeo.cli.palette import Pen
from uptimeo.storage.monitors import MonitorRow

_GAP = "  "
_STATE = len("invalid")
_LONGEST_NAME, _LONGEST_PLACES = 24, 12
_SHORTEST_NAME, _LEAST_TARGET = 10, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorLine:
    """One row; `datacenters` empty means everywhere, `invalid` is why it cannot be used."""

    row: MonitorRow
    datacenters: tuple[str, ...]
    invalid: str | None

    @property
    def state(self) -> tuple[str, str]:
        """The word for it, and its style."""
        if self.invalid:
            return "invalid", "red"
        return ("on", "green") if self.row.enabled else ("off", "dim")

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        row = self.row
        return {
            "id": row.id,
            "name": row.name,
            "type": row.type,
            "target": masked_url(row.url),
            "schedule": row.schedule,
            "interval_s": row.interval_s,
            "enabled": row.enabled,
            "datacenters": list(self.datacenters) or None,
            "invalid": self.invalid,
        }


@dataclass(frozen=True, slots=True)
class MonitorsTable:
    """A rich renderable; see `monitors_table`."""

    lines: tuple[MonitorLine, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Titles, a line for each monitor, and the reason below one that is invalid."""
        pen, width = Pen(ascii_only=options.ascii_only), options.max_width
        rows = [_cells(each, pen) for each in self.lines]
        widths = _widths(rows, width)
        yield _line(_TITLES, widths, "dim")
        for shown, cells in zip(self.lines, rows, strict=True):
            fitted = [pen.fit(cell, room) for cell, room in zip(cells, widths, strict=True)]
            line = _line(fitted, widths, "" if shown.row.enabled else "dim")
            start = widths[0] + len(_GAP)
            line.stylize(shown.state[1], start, start + widths[1])
            yield line
            yield from _reason(shown, pen, width, " " * (start + widths[1] + len(_GAP)))


_TITLES = ("id", "state", "name", "type", "target", "every", "where")


def monitors_table(lines: Sequence[MonitorLine]) -> MonitorsTable:
    """Every monitor in one line as wide as the terminal; what does not fit is cut short."""
    return MonitorsTable(tuple(lines))


def _cells(shown: MonitorLine, pen: Pen) -> tuple[str, ...]:
    row = shown.row
    return (
        str(row.id),
        shown.state[0],
        pen.foreign(row.name),
        pen.foreign(row.type.lower()),
        pen.foreign(_without_scheme(shown)),
        f"{row.interval_s} s" if row.interval_s else "none",
        ", ".join(map(pen.foreign, shown.datacenters)) or "all",
    )


def _without_scheme(shown: MonitorLine) -> str:
    """The type says it already."""
    target = masked_url(shown.row.url)
    return target.removeprefix(f"{shown.row.type.lower()}://")


def _widths(rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """As wide as the widest cell, within limits; the target gets what is left."""
    most = [max(map(cell_len, column)) for column in zip(_TITLES, *rows, strict=True)]
    limits = (10, _STATE, _LONGEST_NAME, 10, most[4], most[5], _LONGEST_PLACES)
    widths = [min(pair) for pair in zip(most, limits, strict=True)]
    spare = width - sum(widths) + widths[4] - len(_GAP) * (len(widths) - 1)
    widths[4] = max(min(most[4], spare), min(_LEAST_TARGET, most[4]))
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    # The name gives way before the target becomes too short to tell anything.
    widths[2] = max(widths[2] - max(over, 0), min(_SHORTEST_NAME, widths[2]))
    return widths


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    padded = [
        cell + " " * (room - cell_len(cell)) for cell, room in zip(cells, widths, strict=True)
    ]
    return Text(_GAP.join(padded).rstrip(), style, no_wrap=True, overflow="crop")


def _reason(shown: MonitorLine, pen: Pen, width: int, indent: str) -> Iterator[Text]:
    if shown.invalid is None:
        return
    room = max(20, width - len(indent))
    for text in wrap(pen.foreign(shown.invalid), room, max_lines=3, placeholder=pen.ellipsis):
        yield Text(indent + text, "red", no_wrap=True, overflow="crop")
