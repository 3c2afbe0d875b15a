"""The schema: contract with existing users, constraints, migrations."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.older import quiet
from uptimeo.domain.errors import FatalError
from uptimeo.storage import schema
from uptimeo.storage.database import Connection, connect, one

# What installations have relied on since before this project: table -> columns.
CONTRACT = {
    "schedules": "id name interval include_response_body thresholds_warning thresholds_critical",
    "api_monitors": "id name method type url schedule_id headers body",
    "regions": "id name region_code group_name",
    "datacenters": "id code name region_id",
    "datacenter_monitors": "datacenter_id monitor_id",
    "agents": "id name datacenter_id",
    "api_heartbeats": (
        "id monitor_id agent_id executed_at success response_time_ms response_size_bytes"
        " response_status_code response_content_type response_server response_cache_status"
        " dns_lookup_ms tcp_connect_ms tls_handshake_ms time_to_first_byte_ms"
        " warning_threshold_ms critical_threshold_ms error_type error_message"
        " raw_request_headers raw_response_headers raw_response_body"
    ),
}


@pytest.mark.parametrize(("table", "columns"), CONTRACT.items())
async def test_every_column_of_the_contract_is_there(
    connection: Connection, table: str, columns: str
) -> None:
    cursor = await connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", (table,)
    )

    assert set(columns.split()) <= {name for (name,) in await cursor.fetchall()}


async def test_the_two_queries_of_the_contract_work(connection: Connection) -> None:
    await connection.execute("SELECT * FROM api_heartbeats ORDER BY executed_at DESC LIMIT 10;")
    await connection.execute(
        "SELECT setval('api_heartbeats_id_seq',"
        " (SELECT COALESCE(MAX(id), 0) + 1 FROM api_heartbeats));"
    )


async def test_the_newest_heartbeats_come_from_an_index(connection: Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    cursor = await connection.execute(
        "EXPLAIN SELECT * FROM api_heartbeats ORDER BY executed_at DESC LIMIT 10"
    )

    plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert "Merge Append" in plan
    assert "Index Scan Backward using heartbeats_" in plan


async def test_the_sample_datacenters_have_the_ids_one_to_nine(connection: Connection) -> None:
    cursor = await connection.execute("SELECT id, code FROM datacenters ORDER BY id")

    codes = ["VA", "NY", "RDN", "CHI", "SF", "LON", "DAM", "STO", "SYD"]
    assert await cursor.fetchall() == list(enumerate(codes, start=1))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO schedules (name, interval) VALUES ('s', 0)",
        """INSERT INTO schedules (name, interval, thresholds_warning, thresholds_critical)
           VALUES ('s', 60, 500, 300)""",
        "INSERT INTO schedules (name, interval, thresholds_warning) VALUES ('s', 60, -1)",
        "INSERT INTO api_monitors (name, url, method) VALUES ('m', 'http://h/', 'GET /')",
        "INSERT INTO api_monitors (name, url, timeout_ms) VALUES ('m', 'http://h/', 0)",
    ],
)
async def test_nonsense_is_refused(connection: Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await connection.execute(statement.encode())


async def test_many_may_migrate_at_once(empty_database: str) -> None:
    results = await asyncio.gather(
        *(asyncio.to_thread(schema.migrate, empty_database) for _ in range(9))
    )

    assert sorted(before or "" for before, _ in results) == ["", *[schema.HEAD] * 8]


async def test_an_agent_refuses_a_database_without_schema(empty_database: str) -> None:
    async with await connect(empty_database) as connection:
        with pytest.raises(FatalError, match="uptimeo migrate"):
            await schema.verify(connection)


@pytest.mark.parametrize(("found", "advice"), [("0000", "migrate"), ("9999", "newer release")])
async def test_an_agent_refuses_another_schema_and_says_what_to_do(
    connection: Connection, found: str, advice: str
) -> None:
    await connection.execute("UPDATE alembic_version SET version_num = %s", (found,))

    with pytest.raises(FatalError, match=advice):
        await schema.verify(connection)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(maintenance: str, encoding: str) -> None:
    name = f"uptimeo_test_in_{encoding.lower()}"
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
    with psycopg.connect(maintenance, autocommit=True) as driver:
        driver.execute(f"{made} TEMPLATE template0".encode())
        try:
            with pytest.raises(FatalError, match=rf"{name} has the encoding {encoding}.*UTF8"):
                schema.migrate(make_conninfo(maintenance, dbname=name))
        finally:
            driver.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_migrating_back_is_refused_and_changes_nothing(
    conninfo: str, connection: Connection
) -> None:
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")

    for attempt in (schema.migrate, schema.foresee):
        with pytest.raises(FatalError, match=r"schema is 9999.*use a newer release"):
            await asyncio.to_thread(attempt, conninfo)

    assert await one(connection, "SELECT version_num FROM alembic_version") == "9999"


async def test_an_agent_refuses_the_functions_of_another_release(connection: Connection) -> None:
    await connection.execute("UPDATE schema_definitions SET digest = 'another'")

    with pytest.raises(FatalError, match="functions of another release"):
        await schema.verify(connection)


async def test_migrating_again_replaces_a_function_that_was_changed(
    connection: Connection, conninfo: str
) -> None:
    await connection.execute("UPDATE schema_definitions SET digest = 'another'")
    await connection.execute(
        "CREATE OR REPLACE FUNCTION peer_key(p_datacenter int) RETURNS bytea"
        " LANGUAGE sql AS $$ SELECT NULL::bytea $$"
    )

    await asyncio.to_thread(schema.migrate, conninfo)

    await schema.verify(connection)
    assert await one(connection, "SELECT peer_key(1)") is not None


async def test_tables_of_another_making_are_not_touched(empty_database: str) -> None:
    async with await connect(empty_database) as connection:
        await connection.execute("CREATE TABLE api_heartbeats (id bigserial, url text)")

    with pytest.raises(FatalError, match="cannot adopt"):
        await asyncio.to_thread(schema.migrate, empty_database, quiet)
    with pytest.raises(FatalError, match="migrate --dry-run"):
        await asyncio.to_thread(schema.migrate, empty_database)

    async with await connect(empty_database) as connection:
        assert await one(connection, "SELECT to_regclass('alembic_version')") is None


def test_the_newest_migration_is_the_one_that_agents_expect() -> None:
    versions = Path(schema.__file__).parent / "migrations" / "versions"

    assert max(path.name[:4] for path in versions.glob("*.py")) == schema.HEAD
