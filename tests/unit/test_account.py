"""Does the account know what is lost, and never claim what is not?"""

from itertools import count

import pytest

from uptimeo.heartbeats.account import Account, Aside, Content, Loss

TEN = Account().acknowledged(1, 10)


def content(*waiting: tuple[int, int], removals: int = 1) -> Content:
    return Content(waiting=waiting, removals=removals)


def test_what_the_file_has_is_not_lost() -> None:
    assert TEN.opened(content((1, 10))).loss() is None


def test_what_a_sound_file_has_no_more_is_lost() -> None:
    account = TEN.opened(content((1, 3), (6, 9)))

    assert account.loss() == Loss(3, exact=True)
    assert account.waiting == ((1, 3), (6, 9))


def test_a_loss_is_told_until_it_is_settled() -> None:
    account = TEN.opened(content((1, 3)))

    assert account.opened(content((1, 3))).loss() == Loss(7, exact=True)
    assert account.settled().loss() is None


def test_what_was_removed_is_not_missed_when_the_file_has_it_or_has_it_no_more() -> None:
    account = TEN.removed([3, 1, 2])

    assert account.opened(content((4, 10), removals=2)).loss() is None
    assert account.opened(content((1, 10), removals=1)).loss() is None


def test_what_was_acknowledged_only_by_the_file_is_taken_into_account() -> None:
    account = TEN.opened(content((1, 12)))

    assert account.opened(content((1, 10))).loss() == Loss(2, exact=True)


def test_an_account_older_than_the_file_claims_nothing() -> None:
    account = TEN.opened(content((8, 14), removals=2))

    assert account.loss() is None
    assert (account.waiting, account.removals) == (((8, 14),), 2)


def test_counting_removals_goes_on_after_the_last_number_that_the_file_can_hold() -> None:
    last = Account(removals=2**31 - 1).acknowledged(1, 10)

    assert last.removed([1]).removals == 0
    assert last.opened(content((5, 10), removals=0)).loss() is None
    assert last.removed([1]).opened(content((5, 10), removals=2**31 - 1)).loss() == Loss(
        3, exact=True
    )


def test_of_a_file_aside_what_is_not_restored_is_lost() -> None:
    account = TEN.moved_aside("bad", 1, content(removals=0))
    assert account.loss() is None
    assert account.asides == (Aside(file="bad", missing=((1, 10),)),)

    account = account.restored("bad", [2, 4, 3]).acknowledged(1, 3)
    assert account.asides == (Aside(file="bad", missing=((1, 1), (5, 10)), after=4),)
    account = account.salvaged("bad")

    assert account.loss() == Loss(7, exact=True)
    assert (account.waiting, account.asides) == (((1, 3),), ())


def test_salvage_begins_where_not_everything_was_sent() -> None:
    account = TEN.removed(range(1, 7)).moved_aside("bad", 2, content(removals=0))

    assert account.asides == (Aside(file="bad", missing=((7, 10),), after=6),)


def test_of_two_files_aside_each_has_its_own_numbers() -> None:
    account = TEN.moved_aside("first", 1, content(removals=0)).acknowledged(1, 4)
    account = account.moved_aside("second", 1, content(removals=0))

    account = account.restored("second", [1, 2, 3, 4]).salvaged("second").salvaged("first")

    assert account.loss() == Loss(10, exact=True)


@pytest.mark.parametrize("removals", [None, 1])
def test_a_damaged_file_that_knows_no_more_removals_is_counted_exactly(
    removals: int | None,
) -> None:
    account = TEN.moved_aside("bad", removals, content(removals=0)).salvaged("bad")

    assert account.loss() == Loss(10, exact=True)


def test_a_damaged_file_newer_than_the_account_is_not_counted_exactly() -> None:
    account = TEN.moved_aside("bad", 7, content(removals=0))

    assert account.asides == (Aside(file="bad", missing=((1, 10),)),)
    assert account.salvaged("bad").loss() == Loss(10, exact=False)


def scattered(rows: int) -> Account:
    account = Account()
    for _, first in zip(range(rows), count(1, 10), strict=False):
        account = account.acknowledged(first, first)
    return account


def test_of_too_many_ranges_the_newest_are_known_and_no_loss_is_made_up() -> None:
    account = scattered(100)
    assert len(account.waiting) == 60
    assert not account.whole

    everything = tuple((first, first) for first in range(1, 1000, 10))
    assert account.opened(content(*everything)).loss() is None
    assert account.opened(content(*everything[:98])).loss() == Loss(2, exact=False)


def test_removing_here_and_there_makes_too_many_ranges_too() -> None:
    account = Account().acknowledged(1, 1000).removed(range(1, 1000, 10))

    assert len(account.waiting) == 60
    assert account.waiting[-1] == (992, 1000)
    assert not account.whole
