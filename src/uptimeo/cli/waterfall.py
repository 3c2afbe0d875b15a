"""How does the result of one check look, to a person and as JSON? Pure: no clock, no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal
from rich.text import Text

from uptimeo.cli.facts import attempt_lines, fact_lines
from uptimeo.cli.masking import masked_url
from uptimeo.cli.palette import Pen, look, slowest_phase
from uptimeo.domain.details import FailedAttempt, storable_json
from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import OUR_FAULTS, Exchange, Failure, Phase, ProbeResult
from uptimeo.domain.text import one_line, storable_headers
from uptimeo.domain.verdict import Status, success

_WIDEST = 100
_NAMES = 10
_NUMBERS = 12
_SHARES = 6
_MESSAGE = 500
_TARGET = 2000
_LEFT_BLOCKS = " ▏▎▍▌▋▊▉"
# The types of which a check goes through every phase.
_COMPLETE = frozenset({"http", "https"})
# With all that was before them.
_BEFORE_TLS = ("proxy", "starttls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """A rich renderable: where the time of one check went, and what is to be thought of it.

    `failed` are the tries before the one that is shown. `complete` lists the phases that were not
    reached, too: of most types the greater part never is.
    """

    target: str
    result: ProbeResult
    status: Status
    thresholds: Thresholds
    failed: tuple[FailedAttempt, ...] = ()
    lag_ms: float | None = None
    complete: bool = True
    now: datetime | None = None

    @classmethod
    def of(cls, beat: Heartbeat) -> "Waterfall":
        """That of a heartbeat."""
        return cls(
            target=beat.monitor.redactor.text(masked_url(beat.monitor.target)),
            result=beat.result,
            status=beat.status,
            thresholds=beat.monitor.thresholds,
            failed=beat.failed_attempts,
            lag_ms=beat.lag_ms,
            complete=beat.monitor.type in _COMPLETE,
            now=beat.executed_at,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The headline, one line a phase, and the reasons in words."""
        pen = Pen(ascii_only=options.ascii_only)
        width = min(options.max_width, _WIDEST)
        yield from _headline(self, pen, width)
        if self.result.total_ms is not None or self.result.phases.total():
            yield Text()
            yield from _rows(self, pen, width)
        if self.failed:
            yield Text()
            yield from attempt_lines(self.failed, pen, width)
        if self.result.facts:
            yield Text()
            yield from fact_lines(self.result.facts, pen, width, self.now)
        sentences = [text for text in _sentences(self, pen) if text]
        if sentences:
            yield Text()
        for sentence in sentences:
            for line in sentence.wrap(console, width - 2):
                line.rstrip()
                yield Text.assemble("  ", line)


def _headline(shown: Waterfall, pen: Pen, width: int) -> Iterator[Text]:
    word = f"{pen.mark(shown.status)} {shown.status.upper()}"
    total = "" if shown.result.total_ms is None else _ms(shown.result.total_ms, pen, shown.result)
    room = max(8, width - cell_len(word) - cell_len(total) - 4)
    target = pen.fit(pen.foreign(shown.target, _TARGET), room)
    gap = " " * (room - cell_len(target) + 2) if total else ""
    yield _line(
        (word, f"bold {look(shown.status).style}"), "  ", (target, "bold"), gap, (total, "bold")
    )
    facts = _facts(shown.result, pen)
    while facts and cell_len(pen.separator.join(facts)) > width - 2:
        facts.pop()
    if facts:
        yield _line(("  " + pen.separator.join(facts), "dim"))


def _facts(result: ProbeResult, pen: Pen) -> list[str]:
    """What is known of the answer, the most telling first."""
    facts = []
    exchange = result.exchange or Exchange()
    if exchange.status_code is not None:
        version = f"HTTP/{exchange.http_version}" if exchange.http_version else "HTTP"
        facts.append(f"{version} {exchange.status_code} {_phrase(exchange.status_code)}".rstrip())
    if result.resolved_ip:
        facts.append(pen.foreign(result.resolved_ip))
    if exchange.size_bytes is not None:
        facts.append(decimal(exchange.size_bytes))
    if result.ttfb_ms is not None:
        facts.append(f"first byte {_ms(result.ttfb_ms, pen, result)}")
    return facts


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""


def _rows(shown: Waterfall, pen: Pen, width: int) -> Iterator[Text]:
    result = shown.result
    failed = result.failure.phase if result.failure else None
    scale = max(result.total_ms or 0.0, result.phases.total())
    room = max(0, width - _NAMES - _NUMBERS - _SHARES - 4)
    start = 0.0
    for phase, ms in _phases(result).items():
        if ms is None and not shown.complete and phase != failed:
            continue
        name = f"{pen.mark('down') if phase == failed else ' '} {phase}"
        bar = Bar(start, ms, scale, room)
        yield _row(name, _ms(ms, pen, result), bar, _phase_styles(phase, shown), pen)
        start += ms or 0.0
    bar = Bar(start, result.other_ms, scale, room)
    yield _row("  other", _ms(result.other_ms, pen, result), bar, ("dim", "dim"), pen)
    total = _ms(result.total_ms, pen, result)
    yield _line((f"{'  total':<{_NAMES}}{total:>{_NUMBERS}}", "bold"))


def _phases(result: ProbeResult) -> dict[str, float | None]:
    """Every fixed phase in order, None if it was not reached, and then the probe's own.

    The bars are drawn one after the other, and what leads to TLS comes before it.
    """
    measured, own = dict(result.phases.measured()), dict(result.phases.own)
    names = list(own)
    leading = max((names.index(name) + 1 for name in _BEFORE_TLS if name in own), default=0)
    fixed: dict[str, float | None] = {}
    for phase in Phase:
        if phase is Phase.TLS:
            fixed |= {name: own.pop(name) for name in names[:leading]}
        fixed[str(phase)] = measured.get(phase)
    return fixed | own


def _phase_styles(phase: str, shown: Waterfall) -> tuple[str, str]:
    """The styles of a phase's words and of its bar: what failed or is slowest stands out."""
    result = shown.result
    if result.failure is not None and phase == result.failure.phase:
        return look("down").style, look("down").style
    if phase != slowest_phase(result.phases):
        return "", "cyan"
    if shown.status in (Status.DEGRADED, Status.CRITICAL):
        style = f"bold {look(shown.status).style}"
        return style, style
    return "bold", "bold cyan"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch from `start_ms`, `ms` long, on a scale of `scale_ms` drawn `width` cells wide.

    `ms` is None for a phase that was not reached.
    """

    start_ms: float
    ms: float | None
    scale_ms: float
    width: int

    def drawn(self, pen: Pen) -> str:
        """Blanks up to the start, then the bar: at least one visible cell if it has a length."""
        if not self.ms or self.width <= 0:
            return ""
        last = self.width * 8
        start = min(round(self.start_ms / self.scale_ms * last), last - 1)
        end = min(round((self.start_ms + self.ms) / self.scale_ms * last), last)
        end = max(end, start + 1)
        return _ascii_bar(start, end) if pen.ascii_only else _block_bar(start, end)


def _ascii_bar(start: int, end: int) -> str:
    first, stop = start // 8, round(end / 8)
    return " " * first + ("#" * (stop - first) or "|")


def _block_bar(start: int, end: int) -> str:
    """The bar between two eighths of cells.

    Unicode has eighths that begin at the left edge of a cell only; at the right edge there are
    a half and one eighth, so the first cell is drawn with the nearest of those.
    """
    first, inside = divmod(start, 8)
    if end <= first * 8 + 8:
        return " " * first + _within_cell(inside, end - first * 8)
    head = "█" if inside < 2 else "▐" if inside < 6 else "▕"
    full, rest = divmod(end - (first + 1) * 8, 8)
    return " " * first + head + "█" * full + (_LEFT_BLOCKS[rest] if rest else "")


def _within_cell(start: int, end: int) -> str:
    if start < 2:
        return "█" if end == 8 else _LEFT_BLOCKS[end]
    if end < 7:
        return "│"
    return "▐" if start < 6 else "▕"


def _row(name: str, number: str, bar: Bar, styles: tuple[str, str], pen: Pen) -> Text:
    room = _NAMES + _NUMBERS - max(_NAMES, len(name))
    words = f"{name:<{_NAMES}}{number:>{room}}"
    if bar.ms is None:
        return _line((words, "dim"))
    share = f"{_share(bar.ms, bar.scale_ms):>{_SHARES}}"
    return _line((words, styles[0]), (share, "dim"), "  ", (bar.drawn(pen), styles[1]))


def _share(ms: float, scale: float) -> str:
    percent = ms / scale * 100 if scale else 0.0
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"


def _ms(value: float | None, pen: Pen, result: ProbeResult) -> str:
    """All numbers of one waterfall have the same decimals and end in the same column."""
    if value is None:
        return pen.absent + " " * len(" ms")
    return f"{value:.{2 if (result.total_ms or 0.0) < 100 else 1}f} ms"


def _sentences(shown: Waterfall, pen: Pen) -> Iterator[Text | None]:
    yield _verdict(shown, pen)
    if shown.lag_ms is not None:
        yield Text(f"This host was busy: for up to {shown.lag_ms:.0f} ms nothing ran.", "yellow")
    yield _limits(shown.thresholds)


def _verdict(shown: Waterfall, pen: Pen) -> Text | None:
    if shown.result.failure is not None:
        return Text(_failure_sentence(shown.result.failure, pen), look(shown.status).style)
    limit = {
        Status.DEGRADED: ("warning", shown.thresholds.warning_ms),
        Status.CRITICAL: ("critical", shown.thresholds.critical_ms),
    }.get(shown.status)
    if limit is None:
        return None
    if limit[1] is None:
        return Text("It is up, and says itself that it is not well.", look(shown.status).style)
    sentence = f"Slower than the {limit[0]} threshold of {limit[1]} ms"
    slowest = slowest_phase(shown.result.phases)
    if slowest is not None:
        spent = _phases(shown.result)[slowest]
        sentence += f": {slowest} alone took {_ms(spent, pen, shown.result)}"
    return Text(f"{sentence}.", look(shown.status).style)


def _failure_sentence(failure: Failure, pen: Pen) -> str:
    message = f"{pen.foreign(failure.message)} ({failure.type})."
    if failure.type in OUR_FAULTS:
        return f"Not checked, which says nothing about the target: {message}"
    return f"Failed in {failure.phase}: {message}" if failure.phase else f"Failed: {message}"


def _limits(thresholds: Thresholds) -> Text | None:
    parts = []
    if thresholds.warning_ms is not None:
        parts.append(f"degraded above {thresholds.warning_ms} ms")
    if thresholds.critical_ms is not None:
        parts.append(f"critical above {thresholds.critical_ms} ms")
    return Text(f"Thresholds: {', '.join(parts)}.", "dim") if parts else None


def _line(*parts: str | tuple[str, str]) -> Text:
    line = Text.assemble(*parts, no_wrap=True, overflow="crop")
    line.rstrip()
    return line


def beat_as_json(beat: Heartbeat) -> dict[str, object]:
    """A check as one object, with the tries that it took."""
    target = beat.monitor.redactor.text(masked_url(beat.monitor.target))
    shown = result_as_json(beat.result, beat.status, target)
    return shown | {
        "type": beat.monitor.type,
        "attempts": beat.attempts,
        "failed_attempts": [each.as_json() for each in beat.failed_attempts],
        "lag_ms": _rounded(beat.lag_ms),
    }


def result_as_json(result: ProbeResult, status: Status, target: str) -> dict[str, object]:
    """The same keys for every result; what was not reached or is not known is None."""
    exchange = result.exchange or Exchange()
    return {
        "status": status.value,
        "success": success(status),
        "target": target,
        "response_time_ms": _rounded(result.total_ms),
        "time_to_first_byte_ms": _rounded(result.ttfb_ms),
        "phases": {f"{phase}_ms": _rounded(ms) for phase, ms in _phases(result).items()},
        "other_ms": _rounded(result.other_ms),
        "resolved_ip": result.resolved_ip,
        "http_version": exchange.http_version,
        "status_code": exchange.status_code,
        "size_bytes": exchange.size_bytes,
        "error": None if result.failure is None else _failure_as_json(result.failure),
        "facts": storable_json(result.facts),
        "response_headers": storable_headers(exchange.response_headers),
    }


def _failure_as_json(failure: Failure) -> dict[str, object]:
    return {
        "type": failure.type.value,
        "phase": str(failure.phase) if failure.phase else None,
        "message": one_line(failure.message, _MESSAGE),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
