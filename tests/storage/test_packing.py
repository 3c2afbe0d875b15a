"""Heartbeats are packed when they are stored, and whoever reads them gets what was sent."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from tests.support import postgres
from uptimeo.storage import definitions

Database = psycopg.Connection[dict[str, Any]]
HOLDER = "00000000-0000-4000-8000-000000000001"
SLOT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
NEWEST = "SELECT * FROM api_heartbeats ORDER BY id DESC LIMIT 1"
TRAITS = "SELECT count(*) AS n, count(DISTINCT digest) AS m FROM heartbeat_traits"

figures = st.integers(0, 6_000_000).map(lambda us: us / 1000)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | words,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(words, parts, max_size=3),
    max_leaves=6,
)
small = st.integers(0, 2_000_000_000)
heartbeats = st.fixed_dictionaries(
    {"status": st.sampled_from(["up", "degraded", "critical", "down", "unknown"])},
    optional={
        "success": st.booleans(),
        "agent_id": small,
        "attempts": st.integers(0, 11),
        "response_time_ms": figures,
        "dns_lookup_ms": figures,
        "tcp_connect_ms": figures,
        "tls_handshake_ms": figures,
        "send_ms": figures,
        "wait_ms": figures,
        "transfer_ms": figures,
        "redirect_ms": figures,
        "time_to_first_byte_ms": figures,
        "response_size_bytes": small,
        "response_status_code": small,
        "warning_threshold_ms": small,
        "critical_threshold_ms": small,
        "http_version": st.sampled_from(["1.1", "2", "3"]),
        "failed_phase": st.sampled_from(["dns", "connect"]),
        "error_type": words,
        "response_content_type": words,
        "response_server": words,
        "response_cache_status": words,
        "error_message": words,
        "raw_request_headers": documents,
        "raw_response_headers": documents,
        "raw_response_body": documents,
        "details": documents,
    },
)
OFTEN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def database(maintenance: str, template: str) -> Iterator[Database]:
    """One for this module, in which a term goes on; every test rolls back."""
    with (
        postgres.database(maintenance, template) as conninfo,
        psycopg.connect(conninfo, row_factory=dict_row) as driver,
    ):
        lead(driver, 1)
        driver.commit()
        yield driver


@pytest.fixture(autouse=True)
def nothing_stays(database: Database) -> Iterator[None]:
    yield
    database.rollback()


def lead(database: Database, *places: int) -> None:
    """A term in each datacenter since yesterday, and partitions for what it finds."""
    database.execute("SELECT partitions_ensure('heartbeats')")
    for place in places:
        database.execute(
            "INSERT INTO agent_terms VALUES (%s, 1, %s, 'a', %s)",
            (place, HOLDER, SLOT - timedelta(days=1)),
        )


def ingest(database: Database, *sent: dict[str, Any], places: int = 1) -> dict[str, Any]:
    """Store them as an agent does; answers with what became of them."""
    common = {"datacenter_id": places, "term": 1, "holder": HOLDER}
    batch = json.dumps([common | one for one in sent])
    return row(database, "SELECT * FROM heartbeats_ingest(%s, %s::jsonb)", places, batch)


def a_heartbeat(number: int = 0, **fields: Any) -> dict[str, Any]:
    slot = SLOT + timedelta(seconds=number)
    return {
        "monitor_id": 7,
        "scheduled_at": slot.isoformat(),
        "executed_at": slot.isoformat(),
        "status": "up",
        "success": True,
    } | fields


def row(database: Database, query: str, *given: Any) -> dict[str, Any]:
    found = database.execute(query.encode(), given or None).fetchone()
    assert found is not None
    return found


@OFTEN
@given(heartbeats, st.integers(-20_000_000, 20_000_000))
def test_whatever_an_agent_sends_is_read_as_it_was_sent(
    database: Database, fields: dict[str, Any], late_us: int
) -> None:
    executed_at = SLOT + timedelta(microseconds=late_us)
    with database.transaction(force_rollback=True):
        done = ingest(database, a_heartbeat(executed_at=executed_at.isoformat(), **fields))
        found = row(database, NEWEST)

    assert done["inserted"] == 1
    assert found["executed_at"] == executed_at.replace(tzinfo=None)
    for name, value in ({"attempts": 1} | fields).items():
        # The total and the first byte, of four bytes each, tell the transfer to a microsecond.
        exact = name == "transfer_ms" and value is not None
        assert found[name] == (pytest.approx(value, abs=0.0016) if exact else value)
    for name in set(found) - set(fields) - set(a_heartbeat()):
        assert name in {"id", "datacenter_id", "term", "attempts"} or found[name] is None


@OFTEN
@given(heartbeats, st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_whatever_is_inserted_as_a_row_is_read_as_it_was(
    database: Database, fields: dict[str, Any], executed_at: datetime
) -> None:
    shaped = {
        name: json.dumps(value) if name.startswith("raw_") or name == "details" else value
        for name, value in fields.items()
    } | {"monitor_id": 7, "scheduled_at": SLOT, "executed_at": executed_at}
    names, places = ", ".join(shaped), ", ".join(f"%({name})s" for name in shaped)
    with database.transaction(force_rollback=True):
        database.execute(f"INSERT INTO api_heartbeats ({names}) VALUES ({places})".encode(), shaped)
        found = row(database, NEWEST)

    assert found["executed_at"] == executed_at
    assert found["datacenter_id"] == 0
    for name, value in fields.items():
        if name == "transfer_ms":
            assert found[name] == pytest.approx(value, abs=0.0016)
        else:
            assert found[name] == value


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0001-01-01 00:00:00"])
def test_a_time_that_is_far_from_its_slot_is_kept_as_it_is(database: Database, moment: str) -> None:
    database.execute(
        "INSERT INTO api_heartbeats (monitor_id, scheduled_at, executed_at, success)"
        " VALUES (7, %s, %s, true)",
        (SLOT, moment),
    )

    found = row(database, "SELECT executed_at::text AS at FROM api_heartbeats")

    assert found["at"] == moment


def test_heartbeats_that_say_the_same_share_their_traits(database: Database) -> None:
    ingest(database, *(a_heartbeat(n, response_server="nginx") for n in range(50)))
    ingest(database, *(a_heartbeat(n, response_server="nginx") for n in range(50, 100)))
    ingest(database, a_heartbeat(100, response_server="envoy"))

    assert row(database, TRAITS) == {"n": 2, "m": 2}
    servers = "SELECT response_server AS s, count(*) AS n FROM api_heartbeats GROUP BY 1"
    found = {one["s"]: one["n"] for one in database.execute(servers.encode())}
    assert found == {"envoy": 1, "nginx": 100}


def test_a_batch_with_a_double_stores_the_others(database: Database) -> None:
    ingest(database, a_heartbeat(1, response_time_ms=1))

    again = ingest(
        database,
        a_heartbeat(0),
        a_heartbeat(1, response_time_ms=2),
        a_heartbeat(2, response_time_ms=3),
        a_heartbeat(2, response_time_ms=4),
        a_heartbeat(2, term=9),
    )

    assert (again["inserted"], again["duplicate"]) == (2, 2)
    assert (again["aside_positions"], again["aside_reasons"]) == ([4], ["unknown term"])
    found = database.execute(
        "SELECT response_time_ms AS ms FROM api_heartbeats ORDER BY scheduled_at"
    ).fetchall()
    assert [one["ms"] for one in found] == [None, 1, 3]


def test_a_double_of_another_datacenter_is_set_aside_not_dropped(database: Database) -> None:
    ingest(database, a_heartbeat(1))

    again = ingest(database, a_heartbeat(1), a_heartbeat(1, datacenter_id=2))

    assert (again["inserted"], again["duplicate"]) == (0, 1)
    assert again["aside_reasons"] == ["wrong datacenter"]


def test_two_batches_that_note_the_same_traits_at_once_both_learn_their_number(
    maintenance: str, template: str
) -> None:
    with (
        postgres.database(maintenance, template) as conninfo,
        psycopg.connect(conninfo, row_factory=dict_row) as first,
        psycopg.connect(conninfo, row_factory=dict_row) as second,
    ):
        lead(first, 1, 2)
        first.commit()
        ingest(first, a_heartbeat(1), places=1)
        waiting = threading.Thread(
            target=ingest, args=(second, a_heartbeat(2)), kwargs={"places": 2}
        )
        waiting.start()
        until_blocked(conninfo, second.info.backend_pid, waiting)
        first.commit()
        waiting.join()
        second.commit()

        assert row(first, TRAITS) == {"n": 1, "m": 1}
        stored = "SELECT count(*) AS n, count(success) AS m FROM api_heartbeats"
        assert row(first, stored) == {"n": 2, "m": 2}


def until_blocked(conninfo: str, pid: int, working: threading.Thread) -> None:
    """Return when the session waits for another one; a failure if its work ends before."""
    with psycopg.connect(conninfo, autocommit=True) as watcher:
        while True:
            found = watcher.execute("SELECT pg_blocking_pids(%s)", (pid,)).fetchone()
            if found and found[0]:
                return
            assert working.is_alive()


def test_traits_go_when_no_partition_can_have_them_and_not_before(database: Database) -> None:
    first_day = "(partitions_begin('heartbeats') AT TIME ZONE 'UTC')::date"
    ingest(database, a_heartbeat(1, response_server="kept"))
    for server, last_used in (("old", f"{first_day} - 1"), ("oldest kept", first_day)):
        database.execute(
            "INSERT INTO heartbeat_traits (last_used, attempts, response_server, digest)"
            f" VALUES ({last_used}, 1, %s, %s)".encode(),
            (server, server.encode()),
        )

    database.execute("SELECT history_expire()")

    left = database.execute("SELECT response_server AS s FROM heartbeat_traits ORDER BY 1")
    assert [one["s"] for one in left.fetchall()] == ["kept", "oldest kept"]


def test_a_heartbeat_without_a_status_has_that_of_its_figures(database: Database) -> None:
    slow = {"response_time_ms": 31.0, "warning_threshold_ms": 30}
    ingest(database, a_heartbeat(1, status=None), a_heartbeat(2, status=None, **slow))

    found = database.execute("SELECT status FROM api_heartbeats ORDER BY scheduled_at").fetchall()

    assert [one["status"] for one in found] == ["up", "degraded"]


@pytest.mark.parametrize("others", [{}, {"error_message": "x"}, {"redirect_ms": 1.0}])
def test_a_heartbeat_that_was_never_executed_is_refused(
    database: Database, others: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="heartbeats_executed"):
        ingest(database, a_heartbeat(executed_at=None, **others))


@pytest.mark.parametrize(
    "keep",
    [
        "CREATE TABLE rest PARTITION OF heartbeats DEFAULT",
        "CREATE TABLE a_copy AS SELECT * FROM heartbeats",
        "CREATE TABLE heartbeats_20200101 (LIKE heartbeats)",
    ],
)
def test_traits_stay_while_a_table_may_have_rows_of_their_day(
    database: Database, keep: str
) -> None:
    database.execute(keep.encode())
    database.execute(
        "INSERT INTO heartbeat_traits (last_used, attempts, digest) VALUES ('2020-01-01', 1, '')"
    )

    database.execute("SELECT history_expire()")

    assert row(database, TRAITS)["n"] == 1


def test_traits_that_are_used_again_are_of_that_day(database: Database) -> None:
    ingest(database, a_heartbeat())
    database.execute("UPDATE heartbeat_traits SET last_used = '2020-01-01'")

    ingest(database, a_heartbeat(1))

    found = database.execute("SELECT last_used FROM heartbeat_traits").fetchall()
    assert found == [{"last_used": SLOT.date()}]
    assert isinstance(SLOT.date(), date)


@pytest.mark.parametrize("way", ["ingest", "insert"])
def test_traits_are_found_by_index_also_by_a_plan_of_when_they_were_few(
    database: Database, way: str
) -> None:
    # What this session has not reported yet, also of transactions before.
    scans = "SELECT seq_scan AS n FROM pg_stat_xact_user_tables WHERE relname = 'heartbeat_traits'"
    before = row(database, scans)
    for number in range(8):
        if way == "ingest":
            ingest(database, a_heartbeat(number))
        else:
            database.execute(
                "INSERT INTO api_heartbeats (monitor_id, scheduled_at, executed_at, success)"
                " VALUES (7, %s, now(), true)",
                (SLOT + timedelta(seconds=number),),
            )

    assert row(database, scans) == before


def test_doubles_are_found_by_index_also_while_the_day_is_thought_to_be_small(
    database: Database,
) -> None:
    scans = "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname ~ '^heartbeats_2'"
    sent = [a_heartbeat(number) for number in range(8)]
    ingest(database, *sent)
    database.execute("ANALYZE heartbeats")
    before = row(database, scans)

    assert ingest(database, *sent)["duplicate"] == 8

    assert row(database, scans) == before


def test_rows_can_be_changed_deleted_and_copied_in(database: Database) -> None:
    ingest(database, *(a_heartbeat(n) for n in range(3)))
    with database.cursor().copy(
        "COPY api_heartbeats (monitor_id, executed_at, success) FROM STDIN"
    ) as copy:
        copy.write_row((8, SLOT.replace(tzinfo=None), False))

    changed = database.execute("UPDATE api_heartbeats SET agent_id = 5 WHERE monitor_id = 7")
    gone = database.execute("DELETE FROM api_heartbeats WHERE scheduled_at = %s", (SLOT,))

    assert (changed.rowcount, gone.rowcount) == (3, 1)
    found = database.execute(
        "SELECT monitor_id AS m, agent_id AS a, status FROM api_heartbeats ORDER BY 1, scheduled_at"
    ).fetchall()
    assert [tuple(one.values()) for one in found] == [
        (7, 5, "up"),
        (7, 5, "up"),
        (8, None, "down"),
    ]


@pytest.mark.parametrize(
    "change", ["UPDATE api_heartbeats SET agent_id = 5", "DELETE FROM api_heartbeats"]
)
def test_a_change_that_comes_upon_another_one_is_not_passed_over_in_silence(
    maintenance: str, template: str, change: str
) -> None:
    with (
        postgres.database(maintenance, template) as conninfo,
        psycopg.connect(conninfo, row_factory=dict_row) as first,
        psycopg.connect(conninfo) as second,
    ):
        lead(first, 1)
        ingest(first, a_heartbeat())
        first.commit()
        first.execute("UPDATE api_heartbeats SET success = false")
        told: list[psycopg.Error] = []
        waiting = threading.Thread(target=failing, args=(second, change, told))
        waiting.start()
        until_blocked(conninfo, second.info.backend_pid, waiting)
        first.commit()
        waiting.join()

        assert [type(error) for error in told] == [psycopg.errors.SerializationFailure]
        assert row(first, "SELECT success FROM api_heartbeats") == {"success": False}


def failing(session: psycopg.Connection[Any], query: str, told: list[psycopg.Error]) -> None:
    try:
        session.execute(query.encode())
    except psycopg.Error as error:
        told.append(error)


def test_a_row_of_an_older_agent_says_its_id(database: Database) -> None:
    made = row(
        database,
        "INSERT INTO api_heartbeats (monitor_id, executed_at, success) VALUES (7, %s, true)"
        " RETURNING id, status, datacenter_id, attempts",
        SLOT.replace(tzinfo=None),
    )

    assert made == {"id": made["id"], "status": "up", "datacenter_id": 0, "attempts": 1}
    assert made["id"] > 0


def test_failures_are_found_by_their_index(database: Database) -> None:
    database.execute("SET LOCAL enable_seqscan = off")

    plan = database.execute(
        "EXPLAIN SELECT * FROM api_heartbeats WHERE status IN ('down', 'unknown')"
        " AND scheduled_at > now() - interval '1 hour' ORDER BY scheduled_at DESC"
    ).fetchall()

    assert "heartbeats_20" in str(plan)
    assert "_scheduled_at_idx" in str(plan)


def test_the_release_is_applied_while_older_agents_write(maintenance: str, template: str) -> None:
    insert = "INSERT INTO api_heartbeats (monitor_id, executed_at, success) VALUES (7, now(), true)"
    with (
        postgres.database(maintenance, template) as conninfo,
        psycopg.connect(conninfo) as writer,
        psycopg.connect(conninfo, autocommit=True) as owner,
    ):
        owner.execute("SELECT partitions_ensure('heartbeats')")
        writer.execute(insert)
        applying = threading.Thread(target=definitions.apply, args=(owner,))
        applying.start()
        until_blocked(conninfo, owner.info.backend_pid, applying)
        writer.execute(insert)
        writer.commit()
        applying.join()

        assert writer.execute("SELECT count(*) FROM api_heartbeats").fetchone() == (2,)


def test_nobody_waits_for_a_release_that_waits_for_a_report(
    maintenance: str, template: str
) -> None:
    insert = "INSERT INTO api_heartbeats (monitor_id, executed_at, success) VALUES (7, now(), true)"
    with (
        postgres.database(maintenance, template) as conninfo,
        psycopg.connect(conninfo) as report,
        psycopg.connect(conninfo, autocommit=True) as writer,
        psycopg.connect(conninfo, autocommit=True) as owner,
    ):
        owner.execute("SELECT partitions_ensure('heartbeats')")
        report.execute("SELECT FROM api_heartbeats")
        told: list[str] = []
        applying = threading.Thread(target=definitions.apply, args=(owner, told.append))
        applying.start()
        until_blocked(conninfo, owner.info.backend_pid, applying)
        try:
            writer.execute("SET statement_timeout = '10s'")
            writer.execute(insert)
            assert applying.is_alive()
        finally:
            report.commit()
            applying.join()

        assert told[0].startswith("waiting for the sessions that read or write heartbeats")
        assert report.execute("SELECT count(*) FROM api_heartbeats").fetchone() == (1,)
