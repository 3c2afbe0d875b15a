"""Do ranges hold what sets would?"""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from uptimeo.heartbeats.row_numbers import Ranges, count, difference, ranges, union

NUMBERS = st.sets(st.integers(-3, 40))


def as_ranges(numbers: set[int]) -> Ranges:
    return ranges(sorted(numbers))


@given(NUMBERS)
def test_ranges_hold_every_number_once_and_are_as_few_as_can_be(numbers: set[int]) -> None:
    made = as_ranges(numbers)

    assert {n for first, last in made for n in range(first, last + 1)} == numbers
    assert count(made) == len(numbers)
    assert all(end + 1 < start for (_, end), (start, _) in pairwise(made))


@given(NUMBERS, NUMBERS)
def test_union_and_difference_are_those_of_sets(these: set[int], others: set[int]) -> None:
    assert union(as_ranges(these), as_ranges(others)) == as_ranges(these | others)
    assert difference(as_ranges(these), as_ranges(others)) == as_ranges(these - others)
