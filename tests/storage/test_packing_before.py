"""An installation from before heartbeats were packed: every row is there afterwards, as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from uptimeo.domain.errors import FatalError
from uptimeo.storage import schema

Driver = psycopg.Connection[dict[str, Any]]
BEFORE = "0016"
# Two days, one partition with a name of somebody's own, rows of our agents and of older ones.
ROWS = """
CREATE TABLE api_heartbeats_20260301 PARTITION OF api_heartbeats
    FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-03-02 00:00+00');
CREATE TABLE mine PARTITION OF api_heartbeats
    FOR VALUES FROM (MINVALUE) TO ('2026-03-01 00:00+00');
ALTER TABLE api_heartbeats ADD COLUMN ticket text DEFAULT 'none';
INSERT INTO api_heartbeats (
    scheduled_at, executed_at, term, monitor_id, datacenter_id, agent_id, response_time_ms,
    dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms, transfer_ms,
    time_to_first_byte_ms, response_size_bytes, response_status_code, warning_threshold_ms,
    success, status, http_version, resolved_ip, response_server, ticket)
SELECT slot, slot AT TIME ZONE 'UTC' + n * interval '37 us', 1 + n / 1500, n % 7, 1 + n % 3, n % 2,
       100 + n % 50, 1, 2, 3, 0.1, 90, 4 + n % 50, 96, n, 200, 300, true, 'up', '2',
       CASE WHEN n % 2 = 0 THEN inet '2001:db8::1' ELSE '192.0.2.7' END, 'nginx/' || n % 3, n
FROM generate_series(1, 3000) n
CROSS JOIN LATERAL (SELECT timestamptz '2026-02-28 23:10+00' + n * interval '2 s' AS slot) x;
INSERT INTO api_heartbeats (
    scheduled_at, executed_at, monitor_id, datacenter_id, response_time_ms, redirect_ms,
    time_to_first_byte_ms, transfer_ms, term, success, status, failed_phase, error_type,
    error_message, raw_request_headers, raw_response_body, details, attempts)
VALUES
    ('2026-03-01 12:00+00', '2026-03-01 15:00:00.000001', 50, 1, 10, 3.5, 8, NULL, 2, false, 'down',
     'wait', 'first_byte_timeout', 'no answer', '{"a": [1, null]}', 'null', '{"lag_ms": 1}', 3),
    ('2026-03-01 12:00+00', 'infinity', 51, 1, 10, NULL, 8, 5, 2, NULL, 'unknown',
     NULL, NULL, '', NULL, '"text"', NULL, 0),
    ('2020-03-01 12:00+00', '0001-01-01 00:00', 52, 0, NULL, NULL, NULL, 7, NULL, true, 'critical',
     NULL, NULL, NULL, NULL, NULL, NULL, 1);
"""
SEEN = "SELECT h::text AS h FROM api_heartbeats h ORDER BY id"
COUNT = "SELECT count(*) AS n FROM api_heartbeats"
KINDS = """
SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute
WHERE attrelid = 'api_heartbeats'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


@pytest.fixture
def before(empty_database: str) -> Iterator[tuple[str, Driver]]:
    """Its connection string, and a session."""
    with psycopg.connect(empty_database) as driver:
        schema.upgrade(driver, BEFORE)
    with psycopg.connect(empty_database, autocommit=True, row_factory=dict_row) as driver:
        driver.execute("SET TimeZone = 'UTC'")
        driver.execute(ROWS.encode())
        yield empty_database, driver


@contextmanager
def a_role(driver: Driver) -> Iterator[str]:
    """A role without rights, which the session may take and has laid down afterwards."""
    role = f"before_{driver.info.backend_pid}"
    driver.execute(f"CREATE ROLE {role}".encode())
    try:
        yield role
    finally:
        driver.execute("RESET ROLE")
        driver.execute(f"DROP OWNED BY {role}".encode())
        driver.execute(f"DROP ROLE {role}".encode())


def test_every_row_is_there_as_it_was(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    rows = driver.execute(SEEN.encode()).fetchall()
    kinds = driver.execute(KINDS.encode()).fetchall()

    assert schema.migrate(conninfo)[0] == BEFORE

    assert len(rows) == 3003
    assert driver.execute(SEEN.encode()).fetchall() == rows
    now = {row["attname"]: row["kind"] for row in driver.execute(KINDS.encode())}
    changed = {"datacenter_id": "smallint", "status": "text"}
    assert now == {row["attname"]: row["kind"] for row in kinds} | changed
    parts = driver.execute("SELECT partition AS p FROM partition_bounds('heartbeats') ORDER BY lo")
    assert [part["p"] for part in parts] == ["heartbeats_20260301", "heartbeats_of_mine"]
    again = driver.execute(
        "INSERT INTO api_heartbeats (scheduled_at, executed_at, monitor_id, success)"
        " VALUES ('2026-03-01 13:00+00', '2026-03-01 13:00', 9, true) RETURNING id, ticket"
    ).fetchone()
    assert again == {"id": 3004, "ticket": None}


def test_who_could_read_and_write_still_can(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    with a_role(driver) as role:
        driver.execute(f"GRANT SELECT, INSERT ON api_heartbeats TO {role}".encode())
        driver.execute(f"GRANT USAGE ON SEQUENCE api_heartbeats_id_seq TO {role}".encode())

        schema.migrate(conninfo)

        driver.execute(f"SET ROLE {role}".encode())
        driver.execute(
            "INSERT INTO api_heartbeats (scheduled_at, executed_at, monitor_id, success)"
            " VALUES ('2026-03-01 13:00+00', '2026-03-01 13:00', 9, true)"
        )
        assert driver.execute(COUNT.encode()).fetchone() == {"n": 3004}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            driver.execute("DELETE FROM api_heartbeats")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            driver.execute("SELECT * FROM heartbeats")


def test_who_could_read_columns_still_can(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    with a_role(driver) as role:
        driver.execute(f"GRANT SELECT (id, ticket) ON api_heartbeats TO {role}".encode())

        schema.migrate(conninfo)

        driver.execute(f"SET ROLE {role}".encode())
        driver.execute("SELECT id, ticket FROM api_heartbeats")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            driver.execute("SELECT status FROM api_heartbeats")


def test_who_may_read_can_also_where_new_functions_are_nobodys(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    with a_role(driver) as role:
        driver.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        driver.execute(f"GRANT SELECT ON api_heartbeats TO {role}".encode())

        schema.migrate(conninfo)

        driver.execute(f"SET ROLE {role}".encode())
        assert len(driver.execute(SEEN.encode()).fetchall()) == 3003


def test_rows_that_were_hidden_do_not_come_to_light(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    driver.execute("ALTER TABLE api_heartbeats ENABLE ROW LEVEL SECURITY")

    with pytest.raises(FatalError, match="which has no row-level security"):
        schema.migrate(conninfo)

    driver.execute("ALTER TABLE api_heartbeats DISABLE ROW LEVEL SECURITY")
    schema.migrate(conninfo)


def test_a_column_of_ones_own_may_be_older_than_one_of_ours(empty_database: str) -> None:
    with psycopg.connect(empty_database) as driver:
        schema.upgrade(driver, "0003")
        driver.execute("ALTER TABLE api_heartbeats ADD COLUMN ticket text")

    schema.migrate(empty_database)

    with psycopg.connect(empty_database) as driver:
        columns = driver.execute("SELECT * FROM api_heartbeats").description or ()
        assert [column.name for column in columns][-2:] == ["details", "ticket"]


def test_a_view_of_somebodys_own_is_named_and_nothing_changes(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    driver.execute("CREATE VIEW slow AS SELECT * FROM api_heartbeats WHERE response_time_ms > 120")

    with pytest.raises(FatalError, match="api_heartbeats becomes a view, and slow read it"):
        schema.migrate(conninfo)

    assert driver.execute("SELECT count(*) AS n FROM slow").fetchone() == {"n": 1740}
    driver.execute("DROP VIEW slow")
    schema.migrate(conninfo)
    assert driver.execute(COUNT.encode()).fetchone() == {"n": 3003}


def test_a_datacenter_whose_number_does_not_fit_is_named(before: tuple[str, Driver]) -> None:
    conninfo, driver = before
    driver.execute("INSERT INTO datacenters (id, code, name) VALUES (40000, 'X', 'far')")

    with pytest.raises(FatalError, match="the datacenter 40000 has to have an id from 0 to 32767"):
        schema.migrate(conninfo)
