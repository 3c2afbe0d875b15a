"""What is a fault, what came of it, and was that what is demanded?"""

import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table

_STARTED = time.monotonic()


class Scale(StrEnum):
    """How often a fault is repeated: for evidence, or for an ordinary test run."""

    FULL = "full"
    SHORT = "short"


class SkipFault(Exception):  # noqa: N818 - it is no error
    """This machine cannot do the fault; the text says why. Never the same as passed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a fault; without limits it is shown and not judged."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    def is_good(self, time_slack: float = 1.0) -> bool:
        """Whether it keeps its limits; those in seconds may be stretched, counts never."""
        slack = time_slack if self.unit == "s" else 1.0
        if self.at_most is not None and not self.value <= self.at_most * slack:
            return False
        return self.at_least is None or self.value >= self.at_least

    def __str__(self) -> str:
        number = f"{self.value:,.3f}" if self.unit == "s" else f"{self.value:,g}"
        shown = f"{self.name} {number}{f' {self.unit}' if self.unit else ''}"
        return shown if self.is_good() else f"{shown} (!)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a fault showed over its runs; `notes` say what a number cannot."""

    runs: int
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def failures(self, time_slack: float = 1.0) -> list[str]:
        """The figures that miss their limits."""
        return [str(figure) for figure in self.figures if not figure.is_good(time_slack)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An entry of the suite. `run` makes its own installation and ends all that it starts."""

    id: str
    title: str
    demanded: str
    run: Callable[[Scale], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a fault ended; `reason` is why it was skipped, or the text of an exception."""

    fault: Fault
    outcome: Outcome | None = None
    reason: str = ""
    skipped: bool = False

    @property
    def verdict(self) -> str:
        """`passed`, `FAILED` or `skipped: why`."""
        if self.skipped:
            return f"skipped: {self.reason}"
        return "passed" if self.outcome is not None and not self.outcome.failures() else "FAILED"

    @property
    def failed(self) -> bool:
        """Whether the suite fails because of it."""
        return self.verdict == "FAILED"


async def carry_out(fault: Fault, scale: Scale) -> Result:
    """Run one fault; an exception is its failure, and nobody else's."""
    say(f"{fault.id}: {fault.title}")
    try:
        result = Result(fault=fault, outcome=await fault.run(scale))
    except SkipFault as why:
        result = Result(fault=fault, reason=str(why), skipped=True)
    except Exception as error:  # noqa: BLE001 - the next fault must have its turn
        result = Result(fault=fault, reason=f"{type(error).__name__}: {error}")
    say(f"{fault.id}: {result.verdict}: {_figures(result)}")
    return result


def say(text: str) -> None:
    """A line of progress, with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:7.1f} s] {text}\n")
    sys.stderr.flush()


def show(results: Sequence[Result]) -> None:
    """The table of all that ran."""
    table = Table(show_lines=True)
    for name in ("fault", "runs", "figures", "demanded", "verdict"):
        table.add_column(name, overflow="fold", no_wrap=name == "runs")
    for result in results:
        runs = str(result.outcome.runs) if result.outcome else ""
        title = f"{result.fault.id} {result.fault.title}"
        table.add_row(title, runs, _figures(result), result.fault.demanded, result.verdict)
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file has no edge
    console.print(table)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN without values, which no limit forgives."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def _figures(result: Result) -> str:
    if result.outcome is None:
        return "" if result.skipped else result.reason
    shown = [str(figure) for figure in result.outcome.figures]
    return "; ".join([*shown, *result.outcome.notes])
