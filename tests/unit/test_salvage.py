"""What is saved of a damaged spool."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from uptimeo.heartbeats.salvage import salvage
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spooled import Spooled

PAGE = 4096


def a_file(directory: Path, rows: int) -> Path:
    """A spool's file with that many heartbeats, all of it in the main file."""
    spool = Spool(directory)
    spool.append([json.dumps({"monitor_id": n, "padding": "x" * 200}) for n in range(rows)])
    spool.close()
    path = directory / "spool.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


def rows(path: Path, after: int = 0, last: int = 0) -> list[Spooled]:
    return [row for group in salvage(path, after, last) for row in group]


def saved(path: Path) -> set[int]:
    return {json.loads(row.body)["monitor_id"] for row in rows(path) if row.sound}


def with_page(path: Path, number: int, content: bytes) -> None:
    """Damage one page, counted from 0."""
    with path.open("r+b") as file:
        file.seek(number * PAGE)
        file.write(content)


def test_an_undamaged_file_is_saved_whole(tmp_path: Path) -> None:
    assert saved(a_file(tmp_path, 1000)) == set(range(1000))


def test_one_bad_page_costs_the_rows_on_it_and_no_more(tmp_path: Path) -> None:
    path = a_file(tmp_path, 1000)
    content = bytearray(path.read_bytes())
    middle = len(content) // PAGE // 2 * PAGE
    content[middle : middle + PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(content)

    found = saved(path)

    assert found <= set(range(1000))
    assert len(found) > 950


def test_what_is_no_database_saves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(b"this is not a database")

    assert saved(path) == set()


def test_what_was_written_is_saved_as_it_was_whatever_it_says(tmp_path: Path) -> None:
    bodies = ["{", "[]", '{"monitor_id": 1}', '{"monitor_id": "x"}']
    with closing(Spool(tmp_path)) as spool:
        spool.append(bodies)

    assert rows(tmp_path / "spool.db") == [
        Spooled(number, body) for number, body in enumerate(bodies, start=1)
    ]


def test_a_text_that_was_altered_is_saved_for_what_it_is(tmp_path: Path) -> None:
    path = a_file(tmp_path, 50)
    path.write_bytes(path.read_bytes().replace(b'"monitor_id": 7,', b'"monitor_id": 9,'))

    (altered,) = [row for row in rows(path) if not row.sound]

    assert (altered.seq, '"monitor_id": 9,' in altered.body) == (8, True)
    assert saved(path) == set(range(50)) - {7}


def test_without_a_checksum_only_what_looks_like_a_heartbeat_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("CREATE TABLE queue (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT)")
        bodies = ["{", '{"monitor_id": 1}', "", None, '{"monitor_id": "x"}']
        old.executemany("INSERT INTO queue (body) VALUES (?)", [(body,) for body in bodies])

    assert [(row.seq, row.sound) for row in rows(path)] == [(1, False), (2, True), (5, False)]


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_of_a_file_that_was_cut_short_what_is_left_is_saved(tmp_path: Path, part: float) -> None:
    path = a_file(tmp_path, 1000)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])

    found = saved(path)

    assert found <= set(range(1000))
    assert len(found) > 1000 * part - 100


def test_a_damaged_table_of_numbers_costs_nothing(tmp_path: Path) -> None:
    path = a_file(tmp_path, 1000)
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence'"
        ).fetchone()
    with_page(path, root - 1, bytes(PAGE))

    assert saved(path) == set(range(1000))


def test_the_last_page_may_be_damaged_too(tmp_path: Path) -> None:
    path = a_file(tmp_path, 1000)
    with_page(path, path.stat().st_size // PAGE - 1, bytes(PAGE))

    assert 950 < len(saved(path)) < 1000


def test_numbers_that_are_far_apart_are_found_at_once(tmp_path: Path) -> None:
    path = a_file(tmp_path, 10)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE queue SET seq = 4000000 WHERE seq = 9")
        db.execute("UPDATE queue SET seq = 1000000000000 WHERE seq = 10")
        db.execute("UPDATE sqlite_sequence SET seq = 1000000000000")

    assert [row.seq for row in rows(path)] == [*range(1, 9), 4_000_000]
    assert [row.seq for row in rows(path, last=1_000_000_000_000)][-1] == 1_000_000_000_000


def test_salvage_begins_behind_a_number(tmp_path: Path) -> None:
    assert [row.seq for row in rows(a_file(tmp_path, 10), after=7)] == [8, 9, 10]


def test_a_full_spool_stays_near_its_bound_and_counts_what_it_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1_000_000)
    beat = {"monitor_id": 1, "status": "down", "scheduled_at": "2026-01-02T12:00:00+00:00"}

    for _ in range(40):
        spool.append([json.dumps(beat | {"padding": "x" * 400})] * 200)

    assert spool.size() < 2_000_000
    assert spool.dropped + spool.depth() == 8000
    spool.close()


def test_a_full_spool_thins_before_it_drops(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1_000_000)
    up = {"monitor_id": 1, "status": "up", "scheduled_at": "2026-01-02T12:00:00+00:00"}
    down = up | {"monitor_id": 2, "status": "down"}

    spool.append([json.dumps(down)] * 10)
    for _ in range(40):
        spool.append([json.dumps(up | {"padding": "x" * 400})] * 200)

    bodies = [json.loads(row.body)["status"] for row in spool.oldest(100_000)]
    assert bodies.count("down") == 10
    assert spool.dropped > 0
    spool.close()


def test_what_is_salvaged_keeps_the_bound_too(tmp_path: Path) -> None:
    path = a_file(tmp_path, 6000)
    path.write_bytes(path.read_bytes()[:-PAGE])

    with closing(Spool(tmp_path, max_bytes=500_000)) as spool:
        (damaged,) = spool.asides()
        for group in spool.salvage(damaged):
            spool.restore(damaged, group)
        spool.abandon(damaged)

        assert spool.size() < 1_000_000
        loss = spool.loss()
        assert loss is not None
        assert spool.depth() + spool.dropped + loss.rows == 6000
