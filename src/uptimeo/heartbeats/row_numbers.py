"""Which rows? Sets of row numbers as ranges. Pure."""

from collections.abc import Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]
"""First and last of each range, ascending, with a gap between any two."""


def ranges(numbers: Iterable[int]) -> Ranges:
    """Of numbers in ascending order."""
    return _joined((number, number) for number in numbers)


def count(these: Ranges) -> int:
    """How many numbers they are."""
    return sum(last - first + 1 for first, last in these)


def union(these: Ranges, others: Ranges) -> Ranges:
    """What is in either."""
    return _joined(sorted((*these, *others)))


def difference(these: Ranges, others: Ranges) -> Ranges:
    """What is in these and not in the others."""
    return tuple(_pieces(these, others))


def _joined(parts: Iterable[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    start, end = 0, -1
    for first, last in parts:
        if start <= end and first <= end + 1:
            end = max(end, last)
            continue
        if start <= end:
            joined.append((start, end))
        start, end = first, last
    return (*joined, (start, end)) if start <= end else tuple(joined)


def _pieces(these: Ranges, others: Ranges) -> Iterator[tuple[int, int]]:
    place = 0
    for first, last in these:
        start = first
        while place < len(others) and others[place][1] < start:
            place += 1
        for begin, end in others[place:]:
            if begin > last:
                break
            if start < begin:
                yield start, begin - 1
            start = end + 1
        if start <= last:
            yield start, last
