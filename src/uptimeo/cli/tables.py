"""How do the monitors and their heartbeats look in a terminal? Pure: `now` is an argument."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from uptimeo.cli.palette import Pen, look, slowest_phase
from uptimeo.domain.result import Phases
from uptimeo.storage.reports import MonitorState, StoredHeartbeat

_HEALTHY_FIRST = ("up", "degraded", "critical", "down", "unknown", "invalid", "pending", "disabled")
_WORST_FIRST = ("down", "unknown", "invalid", "critical", "degraded", "pending", "up", "disabled")
_LATE_AFTER_INTERVALS = 3
_GAP = "  "
_NOT_YET = "not yet checked"
_STATE = len("x degraded")
_TOTAL = len("10000 ms")
_SLOWEST = len(_NOT_YET)
_AGE = len("59 min")
_CODE = len("code")
_SHORTEST_HISTORY, _LONGEST_HISTORY = 8, 24
_SHORTEST_NAME, _LONGEST_NAME = 12, 32
_LINE_NAME = 24
_DATACENTER = 12

RowT_contra = TypeVar("RowT_contra", contravariant=True)


def states_table(
    states: Sequence[MonitorState], *, now: datetime, max_rows: int | None = None
) -> "StatesTable":
    """Every monitor as it is now, the worst first, in at most `max_rows` lines of the terminal.

    Those for which there is no room are counted by state in the last line.
    """
    ordered = sorted(states, key=lambda state: _urgency(state, now))
    return StatesTable(states=tuple(ordered), now=now.astimezone(UTC), max_rows=max_rows)


def heartbeats_table(heartbeats: Sequence[StoredHeartbeat]) -> "HeartbeatsTable":
    """The heartbeats in the order given, each with its reason if it was not up."""
    return HeartbeatsTable(heartbeats=tuple(heartbeats))


def heartbeat_line(heartbeat: StoredHeartbeat, *, ascii_only: bool = False) -> Text:
    """One heartbeat as one line of a log. Print it with `soft_wrap` to keep it one line."""
    pen = Pen(ascii_only=ascii_only)
    cells = (
        Text(f"{heartbeat.executed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z", "dim"),
        Text(_named(heartbeat.datacenter, _DATACENTER, pen)),
        _padded(_state_cell(heartbeat.status, pen), _STATE),
        _padded(Text(_named(heartbeat.monitor, _LINE_NAME, pen)), _LINE_NAME),
        _padded(_total_cell(heartbeat, pen), _TOTAL, right=True),
        _padded(_slowest_cell(heartbeat, pen), _SLOWEST),
        _padded(_code_cell(heartbeat, pen), 3, right=True),
    )
    line = Text(_GAP).join(cells)
    reason = _failure(heartbeat, pen)
    return line if reason is None else line.append(_GAP + reason, look(heartbeat.status).style)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesTable:
    """A rich renderable; see `states_table`."""

    states: tuple[MonitorState, ...]
    now: datetime
    max_rows: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A summary, the titles, the monitors, and the count of those left out."""
        pen = Pen(ascii_only=options.ascii_only)
        width = options.max_width
        summary = _summary(self.states, self.now, pen, width).wrap(console, width)
        yield from summary
        if not self.states:
            return
        columns = _monitor_columns(self.states, self.now, pen, width)
        reasons = [_reason(state, self.now, pen) for state in self.states]
        blocks = _blocks(self.states, columns, reasons, pen, width)
        room = None if self.max_rows is None else self.max_rows - len(summary) - 2
        shown = _fitting(blocks, room)
        yield Text()
        yield _titles(columns, width)
        for block in blocks[:shown]:
            yield from block
        if shown < len(blocks):
            yield _cropped(_left_out(self.states[shown:], self.now, pen), width)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatsTable:
    """A rich renderable; see `heartbeats_table`."""

    heartbeats: tuple[StoredHeartbeat, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What is shown, the titles, and the heartbeats."""
        pen = Pen(ascii_only=options.ascii_only)
        beats, width = self.heartbeats, options.max_width
        if not beats:
            yield Text("No heartbeats.")
            return
        days = sorted({f"{beat.executed_at.astimezone(UTC):%Y-%m-%d}" for beat in beats})
        noun = "heartbeat" if len(beats) == 1 else "heartbeats"
        when = f" on {days[0]}" if len(days) == 1 else ""
        yield _cropped(
            Text.assemble((f"{len(beats)} {noun}", "bold"), f"{when}, times in UTC"), width
        )
        columns = _heartbeat_columns(beats, pen, width, dated=len(days) > 1)
        yield Text()
        yield _titles(columns, width)
        for block in _blocks(beats, columns, [_failure(b, pen) for b in beats], pen, width):
            yield from block


@dataclass(frozen=True, slots=True)
class _Column(Generic[RowT_contra]):
    title: str
    width: int
    cell: Callable[[RowT_contra], Text]
    right: bool = False


def _monitor_columns(
    states: Sequence[MonitorState], now: datetime, pen: Pen, width: int
) -> list[_Column[MonitorState]]:
    """History shrinks before names are cut, and goes when there is room for neither."""
    places = _datacenter_column(states, pen)
    fixed = (_STATE, _TOTAL, _SLOWEST, _AGE, *(place.width for place in places))
    room = width - sum(fixed) - len(_GAP) * (len(fixed) + 1)
    longest = _longest((state.monitor for state in states), pen, _LONGEST_NAME)
    most = max(len("recent"), *(len(state.recent) for state in states))
    history = min(max(room - longest, _SHORTEST_HISTORY), _LONGEST_HISTORY, most)
    if room < min(longest, _SHORTEST_NAME) + history:
        room, history = room + len(_GAP), 0
    name = min(max(room - history, _SHORTEST_NAME), longest)
    columns: list[_Column[MonitorState]] = [
        _Column("state", _STATE, lambda state: _state_cell(_state_of(state), pen)),
        _Column("monitor", name, lambda state: Text(_named(state.monitor, name, pen))),
        *places,
        _Column("total", _TOTAL, lambda state: _total_cell(state.last, pen), right=True),
        _Column("slowest", _SLOWEST, lambda state: _slowest_cell(state.last, pen)),
        _Column("recent", history, lambda state: _history(state, history, pen), right=True),
        _Column("age", _AGE, lambda state: _age_cell(state, now, pen), right=True),
    ]
    return [column for column in columns if column.width]


def _heartbeat_columns(
    beats: Sequence[StoredHeartbeat], pen: Pen, width: int, *, dated: bool
) -> list[_Column[StoredHeartbeat]]:
    places = _datacenter_column(beats, pen)
    form, time = ("%Y-%m-%d %H:%M:%S", 19) if dated else ("%H:%M:%S", 8)
    fixed = (time, _STATE, _TOTAL, _SLOWEST, _CODE, *(place.width for place in places))
    room = width - sum(fixed) - len(_GAP) * len(fixed)
    longest = _longest((beat.monitor for beat in beats), pen, _LONGEST_NAME)
    name = min(max(room, _SHORTEST_NAME), longest)
    return [
        _Column("time", time, lambda beat: Text(f"{beat.executed_at.astimezone(UTC):{form}}")),
        *places,
        _Column("state", _STATE, lambda beat: _state_cell(beat.status, pen)),
        _Column("monitor", name, lambda beat: Text(_named(beat.monitor, name, pen))),
        _Column("total", _TOTAL, lambda beat: _total_cell(beat, pen), right=True),
        _Column("slowest", _SLOWEST, lambda beat: _slowest_cell(beat, pen)),
        _Column("code", _CODE, lambda beat: _code_cell(beat, pen), right=True),
    ]


def _datacenter_column(
    rows: Sequence[MonitorState] | Sequence[StoredHeartbeat], pen: Pen
) -> list[_Column[MonitorState | StoredHeartbeat]]:
    names = {row.datacenter for row in rows}
    if len(names) < 2:
        return []
    width = _longest(names, pen, _DATACENTER)
    return [_Column("dc", width, lambda row: Text(_named(row.datacenter, width, pen)))]


def _blocks(
    rows: Sequence[RowT_contra],
    columns: Sequence[_Column[RowT_contra]],
    reasons: Sequence[str | None],
    pen: Pen,
    width: int,
) -> list[list[Text]]:
    """The lines of each row, with its reason beside it or, where that does not fit, below."""
    used = sum(column.width for column in columns) + len(_GAP) * len(columns)
    indent = " " * (columns[0].width + len(_GAP))
    room = max(20, width - len(indent))
    blocks = []
    for row, reason in zip(rows, reasons, strict=True):
        cells = [_padded(c.cell(row), c.width, right=c.right) for c in columns]
        line, below = Text(_GAP).join(cells), list[str]()
        if reason is not None and cell_len(reason) <= width - used:
            line.append(_GAP + reason, "dim")
        elif reason is not None:
            below = wrap(reason, room, max_lines=2, placeholder=f" {pen.ellipsis}")
        line.rstrip()
        lines = [line, *(Text(indent + text, "dim") for text in below)]
        blocks.append([_cropped(text, width) for text in lines])
    return blocks


def _fitting(blocks: Sequence[Sequence[Text]], room: int | None) -> int:
    """How many blocks fit into `room` lines, one of them left for the count of the others."""
    if room is None or sum(map(len, blocks)) <= room:
        return len(blocks)
    used = 1
    for count, block in enumerate(blocks):
        used += len(block)
        if used > room:
            return count
    return len(blocks)


def _titles(columns: Sequence[_Column[RowT_contra]], width: int) -> Text:
    cells = [_padded(Text(c.title), c.width, right=c.right) for c in columns]
    line = Text(_GAP, "dim").join(cells)
    line.stylize("dim")
    return _cropped(line, width)


def _padded(cell: Text, width: int, *, right: bool = False) -> Text:
    blank = " " * (width - cell.cell_len)
    return Text.assemble(blank, cell) if right else Text.assemble(cell, blank)


def _cropped(line: Text, width: int) -> Text:
    """The line as it is printed: never wrapped, never wider than the terminal."""
    line.truncate(width, overflow="crop")
    line.no_wrap = True
    return line


def _state_of(state: MonitorState) -> str:
    if not state.enabled:
        return "disabled"
    if state.config_error is not None:
        return "invalid"
    if state.last is None:
        return "pending"
    return state.last.status if state.last.status in _WORST_FIRST else "unknown"


def _is_late(state: MonitorState, now: datetime) -> bool:
    """Whether heartbeats that are due stopped coming: then the state shown is of the past."""
    if state.last is None or _state_of(state) in ("disabled", "invalid") or not state.interval_s:
        return False
    return _age_s(state.last, now) > _LATE_AFTER_INTERVALS * state.interval_s


def _age_s(heartbeat: StoredHeartbeat, now: datetime) -> int:
    """Never below 0: the clock of the reader may be behind the database's."""
    return max(0, int((now - heartbeat.executed_at).total_seconds()))


def _urgency(state: MonitorState, now: datetime) -> tuple[int, bool, str, str]:
    place = _WORST_FIRST.index(_state_of(state))
    return place, not _is_late(state, now), state.monitor.casefold(), state.datacenter


def _summary(states: Sequence[MonitorState], now: datetime, pen: Pen, width: int) -> Text:
    head = Text("No monitors.")
    if states:
        head = Text.assemble((_subject(states, pen), "bold"), ": ", _counts(states, now))
    clock = f"{now:%H:%M:%S} UTC"
    gap = width - head.cell_len - len(clock)
    return Text.assemble(head, " " * gap, (clock, "dim")) if gap >= len(_GAP) else head


def _subject(states: Sequence[MonitorState], pen: Pen) -> str:
    monitors = len({state.monitor_id for state in states})
    places = {state.datacenter for state in states}
    noun = "monitor" if monitors == 1 else "monitors"
    where = _named(min(places), 40, pen) if len(places) == 1 else f"{len(places)} datacenters"
    return f"{monitors} {noun} in {where}"


def _counts(states: Sequence[MonitorState], now: datetime) -> Text:
    found = Counter(_state_of(state) for state in states)
    parts = [
        Text(f"{found[word]} {word}", look(word).style) for word in _HEALTHY_FIRST if found[word]
    ]
    late = sum(_is_late(state, now) for state in states)
    if late:
        parts.append(Text(f"{late} late", "yellow"))
    return Text(", ").join(parts)


def _left_out(states: Sequence[MonitorState], now: datetime, pen: Pen) -> Text:
    line = Text.assemble((f"{pen.ellipsis} and {len(states)} more", "dim"))
    words = {_state_of(state) for state in states}
    if len(words) == 1 and not any(_is_late(state, now) for state in states):
        word = words.pop()
        return line.append(", ").append(f"all {word}", look(word).style)
    return line.append(": ").append_text(_counts(states, now))


def _reason(state: MonitorState, now: datetime, pen: Pen) -> str | None:
    """Why a monitor needs a look; None if it does not."""
    word = _state_of(state)
    if word == "invalid":
        return f"not checked: {pen.foreign(state.config_error or '')}"
    if state.last is None or word == "disabled":
        return None
    reasons = [_failure(state.last, pen) or _slowness(state)]
    if _is_late(state, now):
        age = _age(_age_s(state.last, now))
        reasons.append(f"last checked {age} ago, but due every {state.interval_s} s")
    return "; ".join(reason for reason in reasons if reason) or None


def _failure(heartbeat: StoredHeartbeat, pen: Pen) -> str | None:
    if heartbeat.status in ("up", "degraded", "critical"):
        return None
    return pen.foreign(heartbeat.error_message or heartbeat.error_type or "no reason was recorded")


def _slowness(state: MonitorState) -> str | None:
    assert state.last is not None
    limits = {"degraded": state.warning_ms, "critical": state.critical_ms}
    if state.last.status not in limits:
        return None
    limit = limits[state.last.status]
    slow = "slow" if limit is None else f"slower than {limit} ms"
    slowest = _slowest(state.last.phases)
    return f"{slow}: {slowest} ms" if slowest else slow


def _named(name: str, width: int, pen: Pen) -> str:
    return pen.fit(pen.foreign(name), width)


def _longest(names: Iterable[str], pen: Pen, limit: int) -> int:
    return min(max(len("monitor"), *(cell_len(pen.foreign(name)) for name in names)), limit)


def _state_cell(status: str, pen: Pen) -> Text:
    return Text(f"{pen.mark(status)} {_named(status, _STATE - 2, pen)}", look(status).style)


def _total_cell(beat: StoredHeartbeat | None, pen: Pen) -> Text:
    if beat is None or beat.response_time_ms is None:
        return Text(pen.absent, "dim")
    return Text(f"{_number(beat.response_time_ms)} ms")


def _slowest_cell(beat: StoredHeartbeat | None, pen: Pen) -> Text:
    if beat is None:
        return Text(_NOT_YET, "dim")
    slow = beat.status in ("degraded", "critical")
    return Text(_slowest(beat.phases) or pen.absent, look(beat.status).style if slow else "dim")


def _code_cell(beat: StoredHeartbeat, pen: Pen) -> Text:
    return Text(str(beat.status_code)) if beat.status_code else Text(pen.absent, "dim")


def _slowest(phases: Phases) -> str | None:
    phase = slowest_phase(phases)
    spent = {str(name): ms for name, ms in phases.measured()} | dict(phases.own)
    return phase and f"{phase} {_number(spent[phase])}"


def _number(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 9.95 else f"{ms:.1f}"


def _history(state: MonitorState, width: int, pen: Pen) -> Text:
    latest = state.recent[-width:]
    return Text.assemble(*((pen.level(status), look(status).style) for status in latest))


def _age_cell(state: MonitorState, now: datetime, pen: Pen) -> Text:
    if state.last is None:
        return Text(pen.absent, "dim")
    return Text(_age(_age_s(state.last, now)), "yellow" if _is_late(state, now) else "dim")


def _age(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
