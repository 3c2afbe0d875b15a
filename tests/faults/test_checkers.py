"""A checker that never finds anything proves nothing: each one is shown what it is there for."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.faults import checkers
from tests.faults.history import Beat, Execution, History, Term, Where, spooled
from tests.faults.target import Request
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.schedule.plan import grid

FIRST_MS = grid(MonitorId(1), DatacenterId(1), 1).at_or_after(1_000_000_000)


def beat(number: int, *, term: int = 1, late_s: float = 0.01, where: Where = Where.STORED) -> Beat:
    """The check of monitor 1 in slot `number`."""
    slot_ms = FIRST_MS + number * 1000
    return Beat(Execution(1, slot_ms, slot_ms * 1000 + int(late_s * 1e6), term), where, ran=True)


def history(*beats: Beat, terms: tuple[Term, ...] = ()) -> History:
    return History(beats=beats, terms=terms, interval_s=1, datacenter=1)


def at(number: float) -> float:
    """The time `number` seconds after the first slot."""
    return FIRST_MS / 1000 + number


def test_a_check_of_an_old_term_after_the_first_of_the_new_one_is_an_overlap() -> None:
    good = history(beat(0), beat(1), beat(2, term=2), beat(3, term=2))
    bad = history(beat(0), beat(1, term=2), beat(3, term=1, where=Where.ASIDE))

    assert checkers.overlap_s(good) == 0
    assert round(checkers.overlap_s(bad), 3) == 2.0


def test_an_overlap_is_seen_across_a_term_in_between() -> None:
    bad = history(beat(0, term=1), beat(1, term=2), beat(2, term=3), beat(4, term=1))

    assert round(checkers.overlap_s(bad), 3) == 3.0


def test_a_slot_that_was_skipped_is_no_check_that_overlaps() -> None:
    skipped = replace(beat(3), ran=False)

    assert checkers.overlap_s(history(beat(0), beat(1, term=2), skipped)) == 0


def test_a_check_after_the_start_of_the_next_term_is_found_wherever_it_is() -> None:
    terms = (Term(1, "a", at(0)), Term(2, "b", at(1.5)))
    late = beat(2, where=Where.SPOOLED)

    assert checkers.started_after_their_term(history(beat(1), late, terms=terms)) == [late]


def test_a_slot_without_a_heartbeat_is_missing_unless_a_gap_explains_it() -> None:
    found = checkers.missing(history(beat(0), beat(1), beat(4), beat(3, where=Where.ASIDE)))

    assert [slot.slot_ms - FIRST_MS for slot in found] == [2000, 3000]
    assert checkers.outside(found, [(at(1.5), at(2.5))]) == found[1:]


def test_the_last_slot_that_a_term_started_is_no_skipped_one_and_of_that_term() -> None:
    skipped = replace(beat(3), ran=False)

    last = checkers.last_started(history(beat(2), beat(1), skipped, beat(5, term=2)))

    assert last == {1: at(2), 2: at(5)}


def test_the_same_execution_twice_or_the_same_slot_twice_is_doubled() -> None:
    assert checkers.doubled(history(beat(0), beat(1))) == 0
    assert checkers.doubled(history(beat(0), beat(0, where=Where.SPOOLED))) == 0
    assert checkers.doubled(history(beat(0), beat(0, where=Where.ASIDE))) == 1
    assert checkers.doubled(history(beat(0), beat(0, term=2, late_s=0.02))) == 1


def test_a_slot_that_was_on_a_disk_and_is_nowhere_is_lost() -> None:
    acknowledged = [beat(0).what, beat(1).what]

    assert checkers.lost(history(beat(0), beat(1, where=Where.ASIDE)), acknowledged) == 0
    assert checkers.lost(history(beat(0)), acknowledged) == 1


def test_a_request_without_a_heartbeat_is_unrecorded_also_if_another_one_is_near() -> None:
    first, twice, alone = Request(1, at(0.02)), Request(1, at(0.03)), Request(1, at(5.02))
    known = history(beat(0), beat(1))

    assert checkers.unrecorded(known, [alone, twice, first]) == [twice, alone]
    assert checkers.repeated(known, [twice, alone]) == [twice]


def test_the_longest_gap_is_that_of_one_monitor() -> None:
    assert round(checkers.longest_gap_s(history(beat(0), beat(4), beat(1))), 3) == 3.0


def test_a_kill_explains_what_was_in_memory_and_what_nobody_checked_until_the_next() -> None:
    known = history(beat(0), beat(1), beat(4, term=2))

    [(begin, end)] = checkers.gaps_after(known, [at(1.3)])

    assert (round(begin - at(0), 3), round(end - at(0), 3)) == (0.8, 4.01)


def test_a_spool_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    body = (
        '{"monitor_id": 1, "term": 3, "attempts": 0,'
        ' "scheduled_at": "2026-01-01T00:00:00.500000+00:00",'
        ' "executed_at": "2026-01-01T01:00:00.512345+01:00"}'
    )
    with closing(sqlite3.connect(tmp_path / "spool.db")) as db, db:
        db.execute("CREATE TABLE queue (seq INTEGER PRIMARY KEY, body TEXT)")
        db.execute("CREATE TABLE set_aside (seq INTEGER PRIMARY KEY, body TEXT)")
        db.execute("INSERT INTO queue (body) VALUES (?)", (body,))

    [found] = spooled(tmp_path)

    assert found == Beat(
        Execution(1, 1_767_225_600_500, 1_767_225_600_512_345, 3), Where.SPOOLED, ran=False
    )
    assert [path.name for path in tmp_path.iterdir()] == ["spool.db"]
