"""How does what the doctor found look in a terminal? Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from uptimeo.cli.palette import Pen, look
from uptimeo.domain.finding import Condition, Finding

_STATES = {
    Condition.OK: "up",
    Condition.WARNING: "degraded",
    Condition.CRITICAL: "down",
    Condition.UNKNOWN: "unknown",
}
_PROBLEMS = (Condition.CRITICAL, Condition.WARNING)
_INDENT = 2
_WIDEST_NAME = 24


def doctor_report(where: str, findings: Sequence[Finding]) -> "DoctorReport":
    """What is wrong first, each with what to do; then what is well, then what was not seen."""
    return DoctorReport(where, findings)


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """A rich renderable; see `doctor_report`."""

    where: str
    findings: Sequence[Finding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The problems, the good, the unseen, a line that sums up."""
        pen, width = Pen(ascii_only=options.ascii_only), options.max_width
        yield Text(pen.fit(pen.foreign(self.where), width), "bold")
        for condition in _PROBLEMS:
            for finding in self._of(condition):
                yield Text()
                yield from _problem(finding, pen, width)
        if good := self._of(Condition.OK):
            yield Text()
        for finding in good:
            yield from _good(finding, pen, width)
        yield from _unseen(self._of(Condition.UNKNOWN), pen, width)
        yield Text()
        yield _sum(self.findings)

    def _of(self, condition: Condition) -> list[Finding]:
        return [finding for finding in self.findings if finding.condition is condition]


def _problem(finding: Finding, pen: Pen, width: int) -> Iterator[Text]:
    style = _style(finding)
    word = str(finding.condition).upper()
    yield Text.assemble(
        (f"{_mark(finding, pen)} {word}  ", style),
        (pen.fit(pen.foreign(finding.what), width - len(word) - 4), "bold"),
    )
    yield from _wrapped(pen.foreign(finding.value), width, "", indent=_INDENT)
    yield from _wrapped(pen.foreign(finding.advice), width, "cyan", indent=_INDENT, first="> ")


def _good(finding: Finding, pen: Pen, width: int) -> Iterator[Text]:
    name = pen.fit(pen.foreign(finding.what), _WIDEST_NAME)
    head = Text.assemble((f"{_mark(finding, pen)} ", _style(finding)), name)
    head.append(" " * (_WIDEST_NAME - cell_len(name) + 2))
    lines = list(_wrapped(pen.foreign(finding.value), width, "", indent=_WIDEST_NAME + 4))
    if lines:
        lines[0] = head + lines[0][_WIDEST_NAME + 4 :]
    yield from lines
    yield from _wrapped(pen.foreign(finding.advice), width, "dim", indent=_WIDEST_NAME + 4)


def _unseen(findings: Sequence[Finding], pen: Pen, width: int) -> Iterator[Text]:
    """Those of one reason together; whose text only a table's name tells apart, too."""
    reasons: dict[str, list[Finding]] = {}
    for finding in findings:
        reasons.setdefault(finding.value.partition(" (")[0], []).append(finding)
    for reason, those in reasons.items():
        yield Text()
        names = ", ".join(dict.fromkeys(finding.what for finding in those))
        style = _style(those[0])
        yield from _wrapped(pen.foreign(f"not seen: {names}"), width, style, first=_first(pen))
        yield from _wrapped(pen.foreign(reason), width, "", indent=_INDENT)
        advice = "; ".join(dict.fromkeys(f.advice for f in those if f.advice))
        yield from _wrapped(pen.foreign(advice), width, "cyan", indent=_INDENT, first="> ")


def _first(pen: Pen) -> str:
    return f"{pen.mark('unknown')} "


def _sum(findings: Sequence[Finding]) -> Text:
    counted = Counter(finding.condition for finding in findings)
    parts = [f"{counted[each]} {each}" for each in (*_PROBLEMS, Condition.OK)]
    if hidden := counted[Condition.UNKNOWN]:
        parts.append(f"{hidden} not seen")
    worst = next((each for each in _PROBLEMS if counted[each]), Condition.OK)
    return Text(", ".join(parts), f"bold {look(_STATES[worst]).style}".replace("bold bold", "bold"))


def _wrapped(
    text: str, width: int, style: str, *, indent: int = 0, first: str = ""
) -> Iterator[Text]:
    lines = wrap(
        text,
        max(20, width),
        initial_indent=" " * indent + first,
        subsequent_indent=" " * (indent + len(first)),
        break_on_hyphens=False,
    )
    for line in lines:
        yield Text(line, style, no_wrap=True, overflow="fold")


def _mark(finding: Finding, pen: Pen) -> str:
    return pen.mark(_STATES[finding.condition])


def _style(finding: Finding) -> str:
    return look(_STATES[finding.condition]).style
