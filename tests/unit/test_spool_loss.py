"""Is what damage took from a spool counted, and is a loss never claimed that did not happen?"""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from uptimeo.heartbeats.account import Loss
from uptimeo.heartbeats.spool import Spool

STEPS = 14


@dataclass(frozen=True, slots=True)
class Stage:
    """The files of a spool at a moment, what waits in it, and whether a removal was the last."""

    directory: Path
    waiting: frozenset[str]
    removed: bool


@pytest.fixture(scope="module", params=range(3))
def stages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    """A spool after each of some appends and removals."""
    dice = random.Random(request.param)
    root = tmp_path_factory.mktemp("stages")
    found = []
    with closing(Spool(root / "live")) as spool:
        for step in range(STEPS):
            removed = step > 0 and dice.random() < 0.5
            if removed:
                remove_some(spool, dice)
            else:
                spool.append([f"{step}-{number}" for number in range(dice.randrange(1, 40))])
            shutil.copytree(root / "live", root / str(step))
            waiting = frozenset(row.body for row in spool.oldest(10**6))
            found.append(Stage(root / str(step), waiting, removed))
    return found


def remove_some(spool: Spool, dice: random.Random) -> None:
    """As PostgreSQL takes them, or refuses one."""
    rows = dice.choice([spool.newest, spool.oldest])(dice.randrange(1, 30))
    if rows and dice.random() < 0.3:
        spool.set_aside(rows[0], "refused")
    else:
        spool.remove(rows)


def opened(directory: Path, *, database: Stage, ledger: Stage) -> Spool:
    """A spool on the database of one moment and the ledger of another."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(database.directory, directory)
    shutil.copy(ledger.directory / "spool.ledger", directory)
    return Spool(directory)


def salvaged(spool: Spool) -> None:
    """As the writer does it."""
    for damaged in spool.asides():
        for rows in spool.salvage(damaged):
            spool.restore(damaged, rows)
        spool.abandon(damaged)


def test_what_a_process_leaves_that_was_killed_at_any_moment_claims_no_loss(
    stages: list[Stage], tmp_path: Path
) -> None:
    for before, after in pairwise(stages):
        # A removal is entered before it is done, a new row after it is on the disk.
        database, ledger = (before, after) if after.removed else (after, before)
        with closing(opened(tmp_path / "s", database=database, ledger=ledger)) as spool:
            assert spool.loss() is None
        with closing(Spool(tmp_path / "s")) as spool:
            assert spool.loss() is None


def test_a_ledger_that_a_power_cut_left_behind_claims_no_loss(
    stages: list[Stage], tmp_path: Path
) -> None:
    for number, database in enumerate(stages):
        for ledger in stages[: number + 1]:
            with closing(opened(tmp_path / "s", database=database, ledger=ledger)) as spool:
                assert spool.loss() is None
                assert {row.body for row in spool.oldest(10**6)} == database.waiting


def test_of_a_database_that_was_set_back_what_it_has_no_more_is_counted(
    stages: list[Stage], tmp_path: Path
) -> None:
    ledger = stages[-1]
    for database in stages:
        lost = len(ledger.waiting - database.waiting)
        with closing(opened(tmp_path / "s", database=database, ledger=ledger)) as spool:
            assert spool.loss() == (Loss(lost, exact=True) if lost else None)


def test_a_loss_is_told_at_each_start_until_it_is_settled(
    stages: list[Stage], tmp_path: Path
) -> None:
    some = Loss(len(stages[-1].waiting - stages[0].waiting), exact=True)
    opened(tmp_path / "s", database=stages[0], ledger=stages[-1]).close()

    with closing(Spool(tmp_path / "s")) as spool:
        spool.append(["new"])
        assert spool.loss() == some
        spool.settle()
        assert spool.loss() is None
    with closing(Spool(tmp_path / "s")) as spool:
        assert spool.loss() is None


# Real damage to a spool of 1 to 300 of which 101 to 150 are sent.


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with closing(Spool(tmp_path / "used")) as spool:
        spool.append([f'{{"monitor_id":{n},"text":"{"x" * 200}"}}' for n in range(1, 301)])
        spool.remove(spool.oldest(150)[100:])
        shutil.copytree(tmp_path / "used", tmp_path / "killed")
    return tmp_path / "killed"


@pytest.fixture
def closed(directory: Path) -> Path:
    """After an orderly end: everything is in the database file."""
    Spool(directory).close()
    return directory / "spool.db"


def test_rows_that_were_only_in_a_lost_log_are_counted(directory: Path) -> None:
    (directory / "spool.db-wal").unlink()

    with closing(Spool(directory)) as spool:
        assert spool.loss() == Loss(250, exact=True)


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100])
def test_rows_of_a_file_of_which_nothing_is_left_are_counted(closed: Path, content: bytes) -> None:
    closed.write_bytes(content)

    with closing(Spool(closed.parent)) as spool:
        salvaged(spool)
        assert spool.loss() == Loss(250, exact=True)


def test_rows_of_a_file_that_is_gone_are_counted(closed: Path) -> None:
    closed.unlink()

    with closing(Spool(closed.parent)) as spool:
        assert spool.loss() == Loss(250, exact=True)


@pytest.mark.parametrize("emptied", [False, True], ids=["gone", "emptied"])
def test_the_log_of_a_file_that_is_gone_is_kept_and_its_rows_are_salvaged(
    directory: Path, *, emptied: bool
) -> None:
    file = directory / "spool.db"
    log = file.with_name("spool.db-wal").read_bytes()
    file.write_bytes(b"") if emptied else file.unlink()

    with closing(Spool(directory)) as spool:
        (damaged,) = spool.asides()
        salvaged(spool)

        assert spool.depth() == 250
        assert spool.loss() is None
        assert damaged.with_name(damaged.name + "-wal").read_bytes() == log


def test_a_log_that_lost_its_file_and_its_beginning_is_counted(directory: Path) -> None:
    (directory / "spool.db").unlink()
    log = directory / "spool.db-wal"
    log.write_bytes(log.read_bytes()[20_000:])

    with closing(Spool(directory)) as spool:
        salvaged(spool)

        assert spool.loss() == Loss(250, exact=True)


def test_the_log_of_a_file_that_is_gone_may_be_the_rest_of_a_longer_one(directory: Path) -> None:
    with closing(Spool(directory)) as spool:
        spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        spool.append(["new"])
        shutil.copytree(directory, directory.with_name("again"))
    (directory.with_name("again") / "spool.db").unlink()

    with closing(Spool(directory.with_name("again"))) as spool:
        salvaged(spool)

        assert spool.loss() == Loss(251 - spool.depth(), exact=True)


def test_of_a_file_that_was_cut_the_rows_behind_the_cut_are_counted(closed: Path) -> None:
    closed.write_bytes(closed.read_bytes()[:40_000])

    with closing(Spool(closed.parent)) as spool:
        salvaged(spool)

        assert 0 < spool.depth() < 250
        assert spool.loss() == Loss(250 - spool.depth(), exact=True)


def test_a_row_that_a_bad_page_hides_from_a_file_that_opens_is_counted(closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("DELETE FROM queue WHERE seq = 77")

    with closing(Spool(closed.parent)) as spool:
        assert spool.loss() == Loss(1, exact=True)


def test_a_process_killed_while_it_salvages_goes_on_where_it_was(closed: Path) -> None:
    closed.write_bytes(closed.read_bytes()[:-4096])
    with closing(Spool(closed.parent)) as spool:
        (damaged,) = spool.asides()
        spool.restore(damaged, next(spool.salvage(damaged))[:60])

    with closing(Spool(closed.parent)) as spool:
        assert spool.asides() == [damaged]
        assert spool.loss() is None
        salvaged(spool)

        bodies = [row.body for row in spool.oldest(10**6)]
        assert len(bodies) == len(set(bodies)) > 60
        assert spool.loss() == Loss(250 - len(bodies), exact=True)


def test_a_file_aside_that_was_taken_away_is_a_loss(closed: Path) -> None:
    closed.write_bytes(b"this is no database" * 100)
    with closing(Spool(closed.parent)) as spool:
        (damaged,) = spool.asides()
        damaged.unlink()
        salvaged(spool)

        assert spool.loss() == Loss(250, exact=True)


def test_what_was_salvaged_altered_is_no_loss_as_it_is_kept(closed: Path) -> None:
    content = closed.read_bytes().replace(b'"monitor_id":9,', b'"monitor_id":8,')
    closed.write_bytes(content[:-4096])
    with closing(Spool(closed.parent)) as spool:
        salvaged(spool)

        (altered,) = [row for row in spool.oldest(10**6) if not row.sound]
        assert altered.body.startswith('{"monitor_id":8,')
        assert spool.loss() == Loss(250 - spool.depth(), exact=True)


# The ledger itself.


@pytest.mark.parametrize("content", [None, b"", b"no ledger"])
def test_without_its_ledger_a_used_spool_says_that_it_cannot_count(
    closed: Path, content: bytes | None
) -> None:
    ledger = closed.with_name("spool.ledger")
    ledger.unlink() if content is None else ledger.write_bytes(content)

    with closing(Spool(closed.parent)) as spool:
        assert spool.loss() == Loss(0, exact=False)
        assert spool.depth() == 250
        spool.settle()
    with closing(Spool(closed.parent)) as spool:
        assert spool.loss() is None


def test_a_new_spool_has_lost_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(Spool(tmp_path / "new")) as spool:
            assert spool.loss() is None


def test_thinning_makes_no_loss(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "full", max_bytes=100_000)) as spool:
        for number in range(30):
            spool.append([f"{number}-{n}-{'x' * 100}" for n in range(100)])
        assert spool.dropped

    with closing(Spool(tmp_path / "full")) as spool:
        assert spool.loss() is None


def test_a_loss_of_damage_that_is_found_later_is_counted_too(closed: Path) -> None:
    with closing(Spool(closed.parent)) as spool:
        with closed.open("r+b") as file:  # behind SQLite's back
            file.seek(6 * 4096)
            file.write(random.Random(7).randbytes(8 * 4096))
        with closing(sqlite3.connect(closed)) as other:  # makes SQLite forget what it has read
            other.execute("PRAGMA user_version = 2")
        with pytest.raises(sqlite3.DatabaseError):
            spool.oldest(10**6)

        spool.reopen()
        salvaged(spool)

        assert 0 < spool.depth() < 250
        assert spool.loss() == Loss(250 - spool.depth(), exact=True)
