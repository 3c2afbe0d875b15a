"""How are many observations kept in a few numbers?"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Distribution:
    """Counts values up to each of some bounds, ascending, and beyond; `total` is their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """For each bound, and at last infinity, how many are not above it."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True))
