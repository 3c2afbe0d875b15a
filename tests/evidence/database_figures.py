"""What is a figure of `make bench-db`, and how is it printed?"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured, with its limit if it has one."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def good(self) -> bool:
        """Whether it is within its limit."""
        above = self.at_most is not None and self.value > self.at_most
        below = self.at_least is not None and self.value < self.at_least
        return not above and not below

    def line(self) -> str:
        """For a person."""
        text = f"  {self.name:<50} {self.value:>12,.1f} {self.unit:<7}"
        if self.at_most is None and self.at_least is None:
            return text.rstrip()
        bound = f"at most {self.at_most:,g}" if self.at_most is not None else ""
        bound = bound or f"at least {self.at_least:,g}"
        return f"{text} {bound}{'' if self.good else ': MISSED'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: `monitors` in each of three datacenters, for `hours` or `days`.

    `report_s` is how long a report reads; an installation that is adopted has `rows` heartbeats,
    and its adoption is killed `kills` times.
    """

    monitors: int = 100
    hours: float = 24
    days: int = 7
    rounds: int = 3
    report_s: float = 60
    rows: int = 5_000_000
    kills: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How figures are found, on a database of its own: with our schema, or an empty one.

    `monitors` are as many as it takes to judge.
    """

    run: Callable[[str, Scale], Coroutine[Any, Any, Sequence[Figure]]]
    migrated: bool = True
    monitors: int = 100
