"""Is what the spool took still there after a crash, damage, or a full disk?"""

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from uptimeo.domain.errors import FatalError
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spooled import Spooled

FILES = ["spool.db", "spool.db-wal", "spool.db-shm", "spool.ledger", "spool.lock"]
BODIES = [f'{{"number":{number},"text":"{"x" * 300}"}}' for number in range(200)]


SCHEMA_WITHOUT_CHECKSUMS = """
CREATE TABLE queue (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL
);
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(directory: Path) -> Iterator[Spool]:
    with closing(Spool(directory)) as opened:
        yield opened


def bodies(spool: Spool) -> list[str]:
    return [row.body for row in spool.oldest(10**6)]


def aside(spool: Spool) -> list[tuple[int, str, str]]:
    """What was set aside: number, reason, body."""
    rows = spool._db.execute("SELECT seq, reason, body FROM set_aside ORDER BY seq")
    return list(rows)


# Order and duty.


def test_what_came_first_is_the_oldest(spool: Spool) -> None:
    spool.append(["a", "b"])
    spool.append(["c"])

    assert [row.body for row in spool.oldest(2)] == ["a", "b"]
    assert bodies(spool) == ["a", "b", "c"]


def test_a_new_spool_is_empty(spool: Spool) -> None:
    assert spool.depth() == 0
    assert spool.oldest(10) == []
    assert spool.asides() == []


def test_nothing_appended_is_nothing_kept(spool: Spool) -> None:
    spool.append([])

    assert spool.depth() == 0


def test_what_was_removed_is_gone_and_the_rest_stays(spool: Spool) -> None:
    spool.append(["a", "b", "c"])

    spool.remove([spool.oldest(3)[1]])

    assert bodies(spool) == ["a", "c"]


def test_numbers_are_not_used_again(spool: Spool) -> None:
    spool.append(["a"])
    (first,) = spool.oldest(1)
    spool.remove([first])

    spool.append(["b"])

    assert spool.oldest(1)[0].seq > first.seq


def test_what_is_set_aside_leaves_the_queue_and_keeps_its_reason(spool: Spool) -> None:
    spool.append(["a", "bad", "c"])

    spool.set_aside(spool.oldest(3)[1], "no such day")

    assert bodies(spool) == ["a", "c"]
    assert aside(spool) == [(2, "no such day", "bad")]


def test_setting_aside_twice_keeps_one(spool: Spool) -> None:
    spool.append(["bad"])
    (row,) = spool.oldest(1)

    spool.set_aside(row, "first")
    spool.set_aside(row, "second")

    assert aside(spool) == [(1, "second", "bad")]


def test_an_append_that_fails_halfway_keeps_nothing_of_its_group(spool: Spool) -> None:
    spool.append(["a"])
    spool._db.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON queue WHEN new.body = 'c'"
        " BEGIN SELECT RAISE(ABORT, 'any failure inside a group will do'); END"
    )

    with pytest.raises(sqlite3.IntegrityError):
        spool.append(["b", "c"])

    assert bodies(spool) == ["a"]


# The file.


def test_everything_is_still_there_after_a_restart(directory: Path) -> None:
    with closing(Spool(directory)) as spool:
        spool.append(["a", "bad", "c"])
        spool.set_aside(spool.oldest(2)[1], "no such day")

    with closing(Spool(directory)) as spool:
        assert bodies(spool) == ["a", "c"]
        assert aside(spool) == [(2, "no such day", "bad")]
        assert spool.asides() == []


def test_a_second_agent_is_refused_and_told_what_to_set(spool: Spool, directory: Path) -> None:
    with pytest.raises(FatalError) as caught:
        Spool(directory)

    assert str(directory) in str(caught.value)
    assert "UPTIMEO_DATA_DIR" in str(caught.value)


def test_a_refused_second_agent_disturbs_nothing(spool: Spool, directory: Path) -> None:
    spool.append(["a"])

    with pytest.raises(FatalError):
        Spool(directory)

    spool.append(["b"])
    assert bodies(spool) == ["a", "b"]


def test_after_closing_another_process_may_have_the_directory(directory: Path) -> None:
    Spool(directory).close()

    Spool(directory).close()


def test_only_the_owner_may_read_it(spool: Spool, directory: Path) -> None:
    spool.append(["a"])

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(FILES, 0o600)


def test_a_directory_that_cannot_be_made_is_fatal_and_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FatalError, match="UPTIMEO_DATA_DIR"):
        Spool(tmp_path / "file" / "spool")


def test_synchronous_writes_are_asked_for(spool: Spool) -> None:
    settings = [
        spool._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]

    assert settings == ["wal", 2]


# Damage.


def a_used_spool(directory: Path) -> None:
    """Files as an orderly end leaves them."""
    with closing(Spool(directory)) as spool:
        spool.append(BODIES)
        spool.remove(spool.oldest(20))
        spool.set_aside(spool.oldest(1)[0], "no such day")


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A spool that was closed, and one whose process was killed with its log half full."""
    closed, killed, copy = (tmp_path_factory.mktemp(name) / "s" for name in ("a", "b", "c"))
    a_used_spool(closed)
    with closing(Spool(killed)) as spool:
        spool.append(BODIES)
        shutil.copytree(killed, copy)
    return [closed, copy]


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The content after an accident."""
    if not content:
        return dice.randbytes(100)
    changed = bytearray(content)
    match dice.choice(["cut", "emptied", "noise", "noise", "noise", "zeros", "header"]):
        case "cut":
            return content[: dice.randrange(len(content))]
        case "emptied":
            return b""
        case "header":
            places, length = [dice.randrange(min(100, len(content)))], 4
        case _:
            places = [dice.randrange(len(content)) for _ in range(dice.choice([1, 5, 50]))]
            length = dice.choice([1, 4, 64])
    zeros = dice.random() < 0.2
    for place in places:
        changed[place : place + length] = bytes(length) if zeros else dice.randbytes(length)
    return bytes(changed[: len(content)])


@pytest.mark.parametrize("seed", range(80))
def test_no_damage_prevents_a_start_nor_what_comes_after_it(
    seed: int, specimens: list[Path], directory: Path
) -> None:
    dice = random.Random(seed)
    shutil.copytree(dice.choice(specimens), directory)
    victim = dice.choice(sorted(directory.glob("spool.db*")))
    victim.write_bytes(damaged(victim.read_bytes(), dice))

    with closing(Spool(directory)) as spool:
        spool.append(["new"])
        rows = spool.oldest(10**6)
        spool.set_aside(rows[0], "any")
        spool.remove(rows[1:])

        assert rows[-1].body == "new"
        assert all(row.body.encode() for row in rows)
        assert spool.depth() == 0


def test_a_file_that_is_no_database_is_kept_aside(directory: Path) -> None:
    directory.mkdir()
    (directory / "spool.db").write_bytes(b"this is not a database" * 300)

    with closing(Spool(directory)) as spool:
        assert len(spool.asides()) == 1
        assert spool.asides()[0].read_bytes().startswith(b"this is not")
        assert spool.depth() == 0


def test_one_damaged_text_is_read_with_all_the_others(
    specimens: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(specimens[0], tmp_path / "s")
    file = tmp_path / "s" / "spool.db"
    content = file.read_bytes()
    assert content.count(b'"number":150,') == 1
    file.write_bytes(content.replace(b'"number":150,', b'"number":\xff\xfe0,'))

    with closing(Spool(tmp_path / "s")) as spool:
        rows = spool.oldest(10**6)

    assert len(rows) == 179
    (damaged,) = [row for row in rows if not row.sound]
    assert "\N{REPLACEMENT CHARACTER}" in damaged.body


def test_a_text_that_still_reads_as_one_is_known_for_damaged(
    specimens: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(specimens[0], tmp_path / "s")
    file = tmp_path / "s" / "spool.db"
    file.write_bytes(file.read_bytes().replace(b'"number":150,', b'"number":151,'))

    with closing(Spool(tmp_path / "s")) as spool:
        unsound = [row.body for row in spool.oldest(10**6) if not row.sound]
        newest = [row.body for row in spool.newest(10**6) if not row.sound]

    assert unsound == newest == [BODIES[151]]


def test_a_checksum_that_was_damaged_makes_its_row_unsound(directory: Path) -> None:
    a_used_spool(directory)
    with closing(sqlite3.connect(directory / "spool.db")) as other:
        other.execute("UPDATE queue SET crc = crc + 1 WHERE seq = 100")
        other.execute("UPDATE queue SET crc = 'text' WHERE seq = 101")
        other.commit()

    with closing(Spool(directory)) as spool:
        assert [row.seq for row in spool.oldest(10**6) if not row.sound] == [100, 101]


def test_a_file_of_a_release_without_checksums_is_taken_over(directory: Path) -> None:
    directory.mkdir()
    with closing(sqlite3.connect(directory / "spool.db")) as old:
        old.executescript(SCHEMA_WITHOUT_CHECKSUMS)
        old.executemany("INSERT INTO queue (body) VALUES (?)", [(body,) for body in BODIES])
        old.execute("INSERT INTO set_aside VALUES (9999, 1.5, 'no such day', 'bad')")
        old.commit()

    with closing(Spool(directory)) as spool:
        spool.append(["new"])

        assert bodies(spool) == [*BODIES, "new"]
        assert all(row.sound for row in spool.oldest(10**6))
        assert aside(spool) == [(9999, "no such day", "bad")]
        assert spool.asides() == []


def test_a_text_that_became_a_blob_is_read_as_text(directory: Path) -> None:
    a_used_spool(directory)
    with closing(sqlite3.connect(directory / "spool.db")) as other:
        other.execute("UPDATE queue SET body = CAST(body AS BLOB)")
        other.commit()

    with closing(Spool(directory)) as spool:
        assert bodies(spool) == BODIES[21:]


def test_a_header_that_makes_the_file_read_only_is_damage(directory: Path) -> None:
    a_used_spool(directory)
    with (directory / "spool.db").open("r+b") as file:
        file.seek(18)  # the version of the format that a writer has to know
        file.write(b"\x03")

    with closing(Spool(directory)) as spool:
        spool.append(["new"])

        assert len(spool.asides()) == 1
        assert bodies(spool) == ["new"]


def test_damage_that_is_found_later_is_healed_by_reopening(directory: Path) -> None:
    a_used_spool(directory)
    with closing(Spool(directory)) as spool:
        file = directory / "spool.db"
        with file.open("r+b") as opened:  # all but the first pages, behind SQLite's back
            opened.seek(4 * 4096)
            opened.write(random.Random(7).randbytes(file.stat().st_size - 4 * 4096))
        with closing(sqlite3.connect(file)) as other:  # makes SQLite forget what it has read
            other.execute("PRAGMA user_version = 1")
        with pytest.raises(sqlite3.DatabaseError):
            bodies(spool)

        spool.reopen()
        spool.append(["new"])

        assert len(spool.asides()) == 1
        assert bodies(spool) == ["new"]


def test_reopening_a_healthy_file_keeps_everything(spool: Spool) -> None:
    spool.append(["a", "b"])

    spool.reopen()

    assert spool.asides() == []
    assert bodies(spool) == ["a", "b"]


def test_reopening_keeps_other_agents_out(spool: Spool, directory: Path) -> None:
    spool.reopen()

    with pytest.raises(FatalError):
        Spool(directory)


def test_two_damaged_files_are_both_kept(directory: Path) -> None:
    for content in (b"first" * 1000, b"second" * 1000):
        directory.mkdir(exist_ok=True)
        (directory / "spool.db").write_bytes(content)
        Spool(directory).close()

    kept = sorted(path.read_bytes()[:5] for path in directory.glob("spool.db.bad-*"))
    assert kept == [b"first", b"secon"]


# A disk that is full, and a process that is killed.

OPEN_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from uptimeo.domain.errors import FatalError
from uptimeo.heartbeats.spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Spool(Path(sys.argv[1]))
except FatalError as error:
    print(error)
"""

APPEND_FOREVER = """
import sys
from pathlib import Path
from uptimeo.heartbeats.spool import Spool
spool = Spool(Path(sys.argv[1]))
number = 0
while True:
    spool.append([str(number), str(number + 1), str(number + 2)])
    number += 3
    print(number, flush=True)
"""


def test_a_full_disk_is_no_damage_and_costs_no_heartbeat(directory: Path) -> None:
    a_used_spool(directory)

    done = subprocess.run(
        [sys.executable, "-c", OPEN_WITHOUT_ROOM, str(directory)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "UPTIMEO_DATA_DIR" in done.stdout
    with closing(Spool(directory)) as spool:
        assert spool.depth() == 179
        assert spool.asides() == []


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_a_killed_process_loses_nothing_that_was_acknowledged(
    acknowledged: int, directory: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", APPEND_FOREVER, str(directory)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(acknowledged)]
        writer.kill()
        told += [int(line) for line in writer.stdout]

    with closing(Spool(directory)) as spool:
        kept = bodies(spool)
    assert kept == [str(number) for number in range(len(kept))]
    assert len(kept) >= told[-1]
    assert len(kept) % 3 == 0


def test_the_lock_is_not_inherited_by_child_processes(spool: Spool) -> None:
    assert not os.get_inheritable(spool._lock)


def test_a_row_that_is_gone_can_be_removed_again(spool: Spool) -> None:
    spool.append(["a"])

    spool.remove([Spooled(1, "a"), Spooled(99, "never there")])

    assert spool.depth() == 0
