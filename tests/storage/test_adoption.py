"""Adopting an installation of the older kind: what becomes of its rows, and of its schema."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support import older, postgres
from tests.support.catalogue import catalogue
from tests.support.older import quiet
from uptimeo.storage import schema

ROWS = 21_000
KINDS = {
    "plain": older.Kind(),
    "text": older.Kind(heartbeats=older.TEXT),
    "partitioned": older.Kind(heartbeats=older.PARTITIONED),
}


@pytest.fixture(scope="module", params=KINDS)
def older_and_adopted(
    maintenance: str, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Any]]:
    """A database that was adopted, and what its ordinary heartbeats said before."""
    with postgres.database(maintenance, None) as conninfo:
        older.make(conninfo, ROWS, KINDS[request.param])
        before = older.fingerprint(conninfo, ROWS + 100)
        schema.migrate(conninfo, quiet)
        yield conninfo, before


@pytest.fixture(scope="module")
def adopted(older_and_adopted: tuple[str, Any]) -> str:
    return older_and_adopted[0]


def rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query.encode()).fetchall()


def test_every_heartbeat_says_what_it_said_under_the_id_it_had(
    older_and_adopted: tuple[str, Any],
) -> None:
    conninfo, before = older_and_adopted

    assert older.fingerprint(conninfo, ROWS + 100) == before
    assert rows(conninfo, "SELECT total, copied FROM uptimeo_older.adoption") == [
        (ROWS + 9, ROWS + 9)
    ]


def test_a_faulty_heartbeat_is_kept_with_what_was_missing_filled_in(adopted: str) -> None:
    found = rows(
        adopted,
        "SELECT id, monitor_id, datacenter_id, scheduled_at AT TIME ZONE 'UTC' = executed_at,"
        " status FROM api_heartbeats WHERE id < 9 ORDER BY id",
    )

    assert found == [
        (-5, 1, 0, True, "up"),  # an agent without datacenter
        (1, 1, 1, True, "up"),
        (2, 1, 1, False, "degraded"),  # the same time: some microseconds later, in the next day
        (3, 1, 1, False, "critical"),
        (4, 1, 1, True, "down"),
        (5, 1, 0, True, "up"),  # an agent that nobody knows
        (6, 0, 0, True, "unknown"),
        (7, 1, 77, True, "up"),  # a datacenter that had no row
        (8, 1, 1, False, "up"),  # older than any partition
    ]


def test_heartbeats_of_one_time_are_moved_by_microseconds_only(adopted: str) -> None:
    moved = rows(
        adopted,
        "SELECT count(*), max(scheduled_at AT TIME ZONE 'UTC' - executed_at) < interval '10 us'"
        " FROM api_heartbeats WHERE id > 8 AND scheduled_at AT TIME ZONE 'UTC' <> executed_at",
    )

    assert moved[0][0] >= ROWS // 100 * 0.8
    assert moved[0][1]


def test_json_stays_what_it_was_and_text_becomes_json(adopted: str) -> None:
    found = rows(
        adopted, "SELECT raw_response_body FROM api_heartbeats WHERE id IN (1, 4) ORDER BY id"
    )

    assert found == [({"a": 1},), ("text",)]


def test_a_row_that_breaks_our_rules_is_made_to_fit(adopted: str) -> None:
    assert rows(adopted, "SELECT * FROM regions ORDER BY id") == [
        (1, "US", "us", None),
        (2, "US again", "us-2", None),
        (3, "region 3", None, None),
        (4, "region 4", None, None),
    ]
    assert rows(adopted, "SELECT * FROM datacenters ORDER BY id") == [
        (0, "unknown", "Unknown", None),
        (1, "VA", "Virginia", 1),
        (2, "VA-2", "Virginia again", None),
        (3, "id3", "datacenter 3", None),
        (77, "id77", "Unknown 77", None),
        (88, "id88", "Unknown 88", None),
    ]
    assert rows(adopted, "SELECT * FROM agents ORDER BY id") == [
        (1, "agent", 1),
        (2, "agent-2", 1),
        (3, "lost", 77),
        (4, "agent 4", 0),
        (5, "agent", 2),
    ]
    assert rows(
        adopted,
        "SELECT id, name, interval, include_response_body, thresholds_warning, thresholds_critical"
        " FROM schedules ORDER BY id",
    ) == [
        (1, "often", 60, False, 100, 300),
        (2, "often-2", 60, False, 300, 300),
        (3, "schedule 3", 60, True, None, None),
        (4, "rare", 86400, False, None, 200),
    ]
    assert rows(
        adopted,
        "SELECT id, name, method, type, url, schedule_id, headers, body"
        " FROM api_monitors ORDER BY id",
    ) == [
        (1, "home", "GET", "HTTP", "http://target/", 1, {"A": "b"}, "text"),
        (2, "home", "GET", "HTTPS", "https://target/", None, "not an object", None),
        (3, "monitor 3", "GET", "HTTP", "", None, None, {"a": 1}),
        (40, "far", "POST", "HTTP", "http://far/", 2, None, None),
    ]
    assert rows(adopted, "SELECT * FROM datacenter_monitors ORDER BY 1") == [
        (1, 1),
        (3, 40),
        (88, 1),  # never ran anywhere, and still does not run everywhere
    ]


def test_the_schema_is_that_of_a_fresh_database(adopted: str, migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute("SELECT partitions_ensure('heartbeats')")
    theirs = {"status_pages", "status_pages_id_seq", "failing", "failing_names"}
    kept = set(rows(adopted, "SELECT table_name, ours FROM uptimeo_older.kept_columns"))

    stored = {("heartbeats", name) for table, name in kept if table == "api_heartbeats"}
    shown = "".join(f",\n    h.{name}" for _, name in stored)

    found = {
        tuple(text.replace(shown, "") for text in row) if row[1] == "api_heartbeats" else row
        for row in catalogue(adopted)
        if row[1] not in theirs and (row[1], row[2]) not in kept | stored
    }

    assert found == catalogue(migrated)


def test_columns_tables_and_views_of_the_users_own_are_kept(adopted: str) -> None:
    assert rows(adopted, "SELECT DISTINCT older_created_at IS NULL FROM api_monitors") == [(False,)]
    assert rows(adopted, "SELECT DISTINCT calls_per_interval FROM api_monitors") == [(1,)]
    indexes = "SELECT url_index, count(*) FROM {}api_heartbeats GROUP BY 1 ORDER BY 1"
    assert rows(adopted, indexes.format("")) == rows(adopted, indexes.format("uptimeo_older."))
    assert [index for index, _ in rows(adopted, indexes.format(""))] == [0, 1, 2]
    assert rows(adopted, "SELECT * FROM failing_names ORDER BY 1") == [("home",), ("monitor 3",)]
    assert rows(adopted, "SELECT obj_description('failing'::regclass)") == [("for the dashboard",)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        rows(adopted, "INSERT INTO status_pages (monitor_id) VALUES (12345) RETURNING id")


def test_a_new_id_is_one_that_was_never_given(adopted: str) -> None:
    with psycopg.connect(adopted) as connection:
        heartbeat = connection.execute(older.INSERT.encode()).fetchone()
        monitor = connection.execute(
            "INSERT INTO api_monitors (name, url) VALUES ('new', 'http://h/') RETURNING id"
        ).fetchone()
        connection.rollback()

    # What the last test took of the sequence, it took.
    assert heartbeat is not None
    assert heartbeat[0] > ROWS + 200
    assert monitor is not None
    assert monitor[0] > 40


def test_nothing_that_was_adopted_is_dropped_for_its_age(adopted: str) -> None:
    assert rows(adopted, "SELECT keep_days FROM partition_plans WHERE parent = 'heartbeats'") == [
        (None,)
    ]


@pytest.mark.parametrize(
    ("agent", "success", "total", "datacenter", "status"),
    [
        (5, "true", 100, 2, "up"),
        (5, "true", 101, 2, "degraded"),
        (5, "true", 301, 2, "critical"),
        (5, "false", 5, 2, "down"),
        (5, "NULL", 5, 2, "unknown"),
        (999, "true", 5, 0, "up"),
        ("NULL", "true", "NULL", 0, "up"),
    ],
)
def test_an_insert_that_names_only_old_columns_is_a_whole_heartbeat(
    adopted: str, agent: Any, success: str, total: Any, datacenter: int, status: str
) -> None:
    found = rows(
        adopted,
        "INSERT INTO api_heartbeats (monitor_id, agent_id, executed_at, success, response_time_ms,"
        " warning_threshold_ms, critical_threshold_ms)"
        f" VALUES (1, {agent}, clock_timestamp() AT TIME ZONE 'UTC', {success}, {total}, 100, 300)"
        " RETURNING datacenter_id, status, now() - scheduled_at < interval '1 minute'",
    )

    assert found == [(datacenter, status, True)]


def test_migrating_an_adopted_database_again_changes_nothing(adopted: str) -> None:
    before = catalogue(adopted)

    assert schema.migrate(adopted, quiet) == (schema.HEAD, schema.HEAD)

    assert catalogue(adopted) == before
