"""Adopting while agents write, people read, and the migration is killed."""

import os
import random
import subprocess
import time
from typing import Any

import psycopg
import pytest

from tests.support import older
from tests.support.agents import COMMAND
from tests.support.older import quiet
from uptimeo.domain.errors import FatalError
from uptimeo.storage import schema
from uptimeo.storage.adoption.progress import Progress

ROWS = 41_000


def run(conninfo: str, *statements: str) -> list[tuple[Any, ...]]:
    """The statements, each committed; the rows of the last one."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def migrate_killed_after(conninfo: str, seconds: float) -> None:
    environment = {**os.environ, "DB_CONN_STRING": conninfo}
    process = subprocess.Popen(
        [COMMAND, "migrate"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_no_row_is_lost_or_doubled_by_kills_at_any_moment(empty_database: str) -> None:
    older.make(empty_database, ROWS)
    before = older.fingerprint(empty_database, ROWS + 100)
    chance = random.Random()

    with older.writing(empty_database) as writer:
        for _ in range(4):
            migrate_killed_after(empty_database, 0.4 + chance.random() * 2.5)
        schema.migrate(empty_database, quiet)

    assert older.fingerprint(empty_database, ROWS + 100) == before
    assert writer.errors == []
    ids = run(empty_database, f"SELECT id FROM api_heartbeats WHERE id > {ROWS + 200} ORDER BY id")
    assert [number for (number,) in ids] == sorted(writer.ids)
    assert run(empty_database, "SELECT count(*) FROM api_heartbeats WHERE id < 9") == [(9,)]


def test_an_adoption_that_is_broken_off_at_each_of_its_steps_ends_well(
    empty_database: str,
) -> None:
    older.make(empty_database, 2000)
    before = older.fingerprint(empty_database, 2100)
    told: list[str] = []

    class BrokenOffError(Exception):
        pass

    def break_off(progress: Progress) -> None:
        step = progress.step.split(" in ")[0]
        if step not in told:
            told.append(step)
            raise BrokenOffError

    runs = 0
    while True:
        runs += 1
        try:
            schema.migrate(empty_database, break_off)
            break
        except BrokenOffError:
            run(empty_database, older.INSERT)

    assert told[:5] == [
        "preparing the new tables",
        "copying heartbeats",
        "gathering statistics",
        "cutting over",
        "cut over",
    ]
    assert runs == len(told) + 1
    assert older.fingerprint(empty_database, 2100) == before
    assert run(empty_database, "SELECT count(*) FROM api_heartbeats") == [(2009 + len(told),)]
    assert run(empty_database, "SELECT verified_at IS NULL FROM uptimeo_older.adoption") == [
        (False,)
    ]


def test_what_changes_while_it_is_copied_is_as_it_was_left(empty_database: str) -> None:
    older.make(empty_database, ROWS)
    copied, not_yet, gone, moved = 200, ROWS + 50, 300, 400
    seen: list[str] = []

    def change(progress: Progress) -> None:
        if progress.step == "copying heartbeats" and progress.step not in seen:
            run(
                empty_database,
                f"UPDATE api_heartbeats SET error_type = 'A' WHERE id IN ({copied}, {not_yet})",
                f"DELETE FROM api_heartbeats WHERE id IN ({gone}, {ROWS + 51})",
                f"UPDATE api_heartbeats SET executed_at = '2025-06-01' WHERE id = {moved}",
                "INSERT INTO api_heartbeats (id, monitor_id, executed_at, success)"
                " VALUES (50, 2, '2026-01-05', true), (51, 2, '2026-01-05', true)",
                "INSERT INTO api_heartbeats (id, monitor_id, executed_at, success)"
                f" VALUES ({ROWS + 500}, 2, '2026-01-05', true)",
                "UPDATE api_heartbeats SET monitor_id = 3 WHERE id = 51",
                "UPDATE api_monitors SET url = 'http://new/' WHERE id = 1",
                "DELETE FROM api_monitors WHERE id = 40",
                "INSERT INTO api_monitors (id, name, url) VALUES (41, 'late', 'http://late/')",
            )
        seen.append(progress.step)

    schema.migrate(empty_database, change)

    query = (
        "SELECT id, monitor_id, error_type, executed_at::date::text FROM {}"
        f" WHERE id IN ({copied}, {not_yet}, {gone}, {moved}, {ROWS + 51}, 50, 51, {ROWS + 500})"
        " ORDER BY id"
    )
    assert run(empty_database, query.format("api_heartbeats")) == run(
        empty_database, query.format("uptimeo_older.api_heartbeats")
    )
    assert run(empty_database, "SELECT id FROM uptimeo_older.api_heartbeats ORDER BY id") == run(
        empty_database, "SELECT id FROM api_heartbeats ORDER BY id"
    )
    assert run(empty_database, "SELECT count(*) FROM api_heartbeats") == [(ROWS + 9 + 3 - 2,)]
    assert run(empty_database, "SELECT id, url FROM api_monitors WHERE id IN (1, 40, 41)") == [
        (1, "http://new/"),
        (41, "http://late/"),
    ]


def test_a_table_that_is_being_copied_cannot_be_truncated(empty_database: str) -> None:
    older.make(empty_database, 100)

    def truncate(progress: Progress) -> None:
        if progress.step == "copying heartbeats":
            with pytest.raises(psycopg.errors.RaiseException, match="being adopted"):
                run(empty_database, "TRUNCATE api_heartbeats")

    schema.migrate(empty_database, truncate)

    assert run(empty_database, "SELECT count(*) FROM api_heartbeats") == [(109,)]


def test_a_long_query_is_waited_for_and_stops_nobody(empty_database: str) -> None:
    older.make(empty_database, 100)
    longest: list[float] = []
    with psycopg.connect(empty_database) as reader, older.writing(empty_database) as writer:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM api_monitors")

        def hold(progress: Progress) -> None:
            if progress.step == "cutting over":
                reader.execute("SELECT count(*) FROM api_heartbeats")
            if progress.step.startswith("waiting for"):
                assert str(reader.info.backend_pid) in progress.step
                done = len(writer.ids)
                deadline = time.monotonic() + 30
                while len(writer.ids) < done + 20 and time.monotonic() < deadline:
                    time.sleep(0.01)
                longest.append(len(writer.ids) - done)
                assert reader.execute("SELECT 1").fetchone() == (1,)
                reader.commit()

        schema.migrate(empty_database, hold)

    assert longest
    assert longest[0] >= 20
    assert writer.errors == []


def test_a_dry_run_does_not_wait_for_an_adoption(empty_database: str) -> None:
    older.make(empty_database, 100)
    refused: list[str] = []

    def ask(progress: Progress) -> None:
        if progress.step == "copying heartbeats":
            with pytest.raises(FatalError) as refusal:
                schema.foresee(empty_database)
            refused.append(str(refusal.value))

    schema.migrate(empty_database, ask)

    assert refused == ["another `uptimeo migrate` is at work on this database"]


def test_going_back_before_the_cutover_leaves_the_older_tables_as_they_were(
    empty_database: str,
) -> None:
    older.make(empty_database, 100)
    before = older.fingerprint(empty_database, 200)

    class StoppedError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == "cutting over":
            raise StoppedError

    with pytest.raises(StoppedError):
        schema.migrate(empty_database, stop)
    run(empty_database, "DROP SCHEMA uptimeo_staging, uptimeo_older CASCADE")
    run(empty_database, older.INSERT)

    assert older.fingerprint(empty_database, 200) == before
    assert run(
        empty_database,
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'api_heartbeats'::regclass",
    ) == [(0,)]


def test_the_older_tables_are_dropped_on_demand_and_not_before(empty_database: str) -> None:
    older.make(empty_database, 100)
    with pytest.raises(FatalError, match="no older tables"):
        schema.drop_older(empty_database)
    schema.migrate(empty_database, quiet)
    run(empty_database, "UPDATE uptimeo_older.adoption SET verified_at = NULL")
    with pytest.raises(FatalError, match="not been compared"):
        schema.drop_older(empty_database)
    schema.migrate(empty_database, quiet)

    schema.drop_older(empty_database)

    assert run(empty_database, "SELECT to_regnamespace('uptimeo_older')") == [(None,)]
    assert run(empty_database, "SELECT count(*) FROM api_heartbeats") == [(109,)]
    assert run(empty_database, older.INSERT)


def test_a_heartbeat_that_is_missing_is_told_and_the_older_ones_stay(empty_database: str) -> None:
    older.make(empty_database, 100)

    def lose(progress: Progress) -> None:
        if progress.step.startswith("cut over in"):
            run(empty_database, "DELETE FROM api_heartbeats WHERE id = 150")

    with pytest.raises(FatalError, match="1 of 109 older heartbeats"):
        schema.migrate(empty_database, lose)

    with pytest.raises(FatalError, match="not been compared"):
        schema.drop_older(empty_database)


def test_an_installation_without_any_row_is_adopted_and_keeps_its_plan(empty_database: str) -> None:
    older.make(empty_database, 0, older.Kind(filthy="SELECT 1"))
    run(empty_database, "TRUNCATE regions, datacenters, agents, schedules, datacenter_monitors")

    schema.migrate(empty_database, quiet)

    assert run(
        empty_database, "SELECT keep_days FROM partition_plans WHERE parent = 'heartbeats'"
    ) == [(30,)]


def test_years_of_a_few_heartbeats_do_not_become_thousands_of_partitions(
    empty_database: str,
) -> None:
    older.make(empty_database, 15_000, every_ms=43_200_000 * 3)
    before = older.fingerprint(empty_database, 15_100)

    schema.migrate(empty_database, quiet)

    assert older.fingerprint(empty_database, 15_100) == before
    days, partitions = run(
        empty_database,
        "SELECT count(DISTINCT executed_at::date),"
        " (SELECT count(*) FROM pg_inherits WHERE inhparent = 'heartbeats'::regclass)"
        " FROM api_heartbeats",
    )[0]
    assert days > 2000
    assert partitions < 200
