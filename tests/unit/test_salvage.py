"""What is saved of a damaged spool."""

import json
import random
import sqlite3
from pathlib import Path

from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.spool_file import salvage

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


def saved(path: Path) -> set[int]:
    return {json.loads(body)["monitor_id"] for group in salvage(path) for body in group}


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


def test_rows_that_are_no_heartbeats_are_left(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(["{", "[]", '{"monitor_id": 1}', '{"monitor_id": "x"}'])
    spool.close()

    assert saved(tmp_path / "spool.db") == {1}


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
