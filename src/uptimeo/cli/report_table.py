"""How does a report of uptime look in a terminal? Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from uptimeo.cli.palette import Pen
from uptimeo.storage.uptime import Uptime, UptimeReport

_GAP = "  "
_SHORTEST_NAME = 8
_DATACENTER = 8
# Rollups are that much behind in an installation in order.
_BEHIND = timedelta(minutes=10)
_UNITS = ((172_800, 86_400, "d"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


def report_table(report: UptimeReport) -> "ReportTable":
    """The window, a line for each row, and beneath it where time without a verdict went."""
    return ReportTable(report)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A rich renderable; see `report_table`."""

    report: UptimeReport

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What the period is, what of it is not known, the titles, the rows."""
        pen, width = Pen(ascii_only=options.ascii_only), options.max_width
        for line in _head(self.report):
            yield from line.wrap(console, width)
        if not self.report.rows:
            return
        apart = self.report.period.apart
        rows = [_cells(row, pen, apart=apart) for row in self.report.rows]
        titles = _TITLES if apart else (_TITLES[0], *_TITLES[2:])
        widths = _widths([titles, *rows], width)
        yield Text()
        yield _line(titles, widths, pen, apart=apart, style="dim")
        for row, cells in zip(self.report.rows, rows, strict=True):
            yield _line(cells, widths, pen, apart=apart, style="red" if row.down_ms else "")
            for text in wrap(_causes(row), max(20, width - len(_GAP))):
                yield Text(_GAP + text, "dim", no_wrap=True, overflow="crop")


_TITLES = ("monitor", "dc", "uptime", "covered", "down", "p50", "p95", "p99", "checks")


def _head(report: UptimeReport) -> Iterator[Text]:
    period = report.period
    if not report.rows:
        yield Text(
            f"Nothing was due from {_moment(period.since)} to {_moment(period.until)}.", "bold"
        )
    else:
        start, end = report.rows[0].window_start, report.rows[0].window_end
        yield Text.assemble((f"{_moment(start)} to {_moment(end)}", "bold"), " UTC, times in ms")
        if end + _BEHIND < period.until:
            yield Text(f"What is after {_moment(end)} is not rolled up.", "yellow")
    if report.known_from and report.known_from > period.since + timedelta(minutes=5):
        yield Text(f"Nothing is known of before {_moment(report.known_from)}.", "yellow")


def _cells(row: Uptime, pen: Pen, *, apart: bool) -> tuple[str, ...]:
    place = (pen.fit(pen.foreign(" ".join(row.datacenters)), _DATACENTER),) if apart else ()
    return (
        pen.foreign(row.monitor),
        *place,
        percent(row.uptime, 4) or pen.absent,
        percent(row.coverage, 2) or pen.absent,
        duration(row.down_ms) if row.down_ms else pen.absent,
        *(_number(ms, pen) for ms in (row.p50_ms, row.p95_ms, row.p99_ms)),
        str(row.checks),
    )


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """As wide as the widest cell; the name gives way."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    widths[0] = max(widths[0] - max(over, 0), min(_SHORTEST_NAME, widths[0]))
    return widths


def _line(
    cells: Sequence[str], widths: Sequence[int], pen: Pen, *, apart: bool, style: str
) -> Text:
    left = 2 if apart else 1
    padded = []
    for place, (cell, room) in enumerate(zip(cells, widths, strict=True)):
        fitted = pen.fit(cell, room)
        blank = " " * (room - cell_len(fitted))
        padded.append(fitted + blank if place < left else blank + fitted)
    return Text(_GAP.join(padded).rstrip(), style, no_wrap=True, overflow="crop")


def _causes(row: Uptime) -> str:
    """Where the time went that is neither up nor down; empty if there is none."""
    causes = (
        (row.no_leader_ms, "no leader"),
        (row.unknown_ms, "fault of an agent"),
        (row.missing_ms, "no check"),
    )
    parts = [f"{duration(ms)} {cause}" for ms, cause in causes if ms]
    unknown = [f"no verdict: {', '.join(parts)}"] if parts else []
    maintained = [f"maintenance: {duration(row.maintenance_ms)}"] if row.maintenance_ms else []
    return "; ".join([*unknown, *maintained])


def percent(share: Decimal | None, digits: int) -> str | None:
    """A share in per cent, rounded down: `100%` is all of it. None for None."""
    if share is None:
        return None
    if share == 1:
        return "100%"
    return f"{(share * 100).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN)}%"


def duration(ms: int) -> str:
    """A length of time in one unit, rounded up, so that nothing is hidden."""
    seconds = -(-ms // 1000)
    _, unit_s, unit = next(each for each in _UNITS if seconds >= each[0])
    return f"{-(-seconds // unit_s)} {unit}"


def _number(ms: float | None, pen: Pen) -> str:
    if ms is None:
        return pen.absent
    return f"{ms:.0f}" if ms >= 9.95 else f"{ms:.1f}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
