"""Does the ledger give back what was entered, or say that it cannot?"""

from contextlib import closing
from pathlib import Path

import pytest

from uptimeo.heartbeats.account import Account, Aside
from uptimeo.heartbeats.ledger import Ledger

ACCOUNT = Account(
    removals=7,
    waiting=((3, 900), (1000, 1000)),
    whole=False,
    asides=(Aside(file="spool.db.bad-1", missing=((1, 2),), after=1), Aside(file="other")),
    lost=12,
    exact=False,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.ledger"


def written(path: Path, *accounts: Account) -> Account | None:
    with closing(Ledger(path)) as ledger:
        for account in accounts:
            ledger.write(account)
    return Ledger(path).read()


def test_no_file_is_no_account(path: Path) -> None:
    assert Ledger(path).read() is None


def test_an_account_is_read_as_it_was_written(path: Path) -> None:
    assert written(path, ACCOUNT) == ACCOUNT


def test_the_last_account_counts_however_long_the_one_before_was(path: Path) -> None:
    many = Account(asides=tuple(Aside(file=f"spool.db.bad-{n}") for n in range(200)))

    assert written(path, ACCOUNT, many) == many
    assert written(path, Account()) == Account()


def test_only_the_owner_may_read_it(path: Path) -> None:
    written(path, ACCOUNT)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_ledger_that_was_damaged_anywhere_says_that_it_is_inexact(path: Path) -> None:
    written(path, ACCOUNT)
    content = path.read_bytes()
    used = len(content.split(b"\n")[0].rstrip())

    for place in range(used):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])

        assert Ledger(path).read() == Account(exact=False), place


@pytest.mark.parametrize("content", [b"", b"\n", bytes(4096), b"00000000 \n", b"76d32be0 123\n"])
def test_what_is_no_ledger_says_that_it_is_inexact(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert Ledger(path).read() == Account(exact=False)


def test_a_ledger_that_cannot_be_written_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert written(tmp_path / "file" / "spool.ledger", ACCOUNT) == Account(exact=False)
