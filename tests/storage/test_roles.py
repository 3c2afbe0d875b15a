"""Who may do what: every function has a place, and forbidden statements are refused."""

from collections.abc import Mapping

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support import roles
from uptimeo.storage import schema
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.places import add_sample_datacenters

# Only other functions, views and the owner call these.
INTERNAL = {
    "agent_check",
    "agent_check_time",
    "config_key",
    "config_row_at",
    "duty_spans",
    "fact_pause",
    "heartbeat_digest",
    "heartbeat_executed_at",
    "heartbeat_late",
    "heartbeat_letter",
    "heartbeat_packed",
    "heartbeat_parts",
    "heartbeat_rest",
    "heartbeat_status",
    "heartbeat_traits_of",
    "heartbeat_transfer",
    "heartbeat_transfer_fits",
    "heartbeats_store",
    "heartbeats_stored",
    "latency_of",
    "latency_pack",
    "monitor_begin",
    "monitor_duty_note",
    "partition_add",
    "partition_for",
    "partition_start",
    "partitions_begin",
    "retention_believe",
    "retention_confirm",
    "retention_may",
    "rollup",
    "rollup_again",
    "rollup_begin",
    "rollup_ceiling",
    "rollup_expected",
    "rollup_forward",
    "rollup_led",
    "rollup_length",
    "rollup_mark",
    "rollup_ms",
    "rollup_of_heartbeats",
    "rollup_of_rollups",
    "rollup_places",
    "rollup_ripe",
    "rollup_rows",
    "rollup_stored",
    "rollup_table",
    "rollup_window",
    "status_count",
    "uptime_of",
}
_UNPLACED = """
SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
  AND prorettype <> 'trigger'::regtype
  AND NOT EXISTS (
    SELECT FROM aclexplode(proacl) a JOIN pg_roles r ON r.oid = a.grantee
    JOIN database_roles d ON d.role_name = r.rolname)
"""
# Who reads api_heartbeats computes two of its columns.
_OPEN_TO_ALL = """
SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
  AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))
  AND proname NOT IN ('config_changed', 'heartbeat_executed_at', 'heartbeat_transfer')
"""
_UNPINNED = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
  AND NOT 'search_path=public, pg_temp' = ANY (proconfig)
"""


async def test_every_function_is_given_to_somebody_or_internal(
    connection: Connection, logins: Mapping[str, str]
) -> None:
    found = {name for (name,) in await (await connection.execute(_UNPLACED)).fetchall()}

    assert found == INTERNAL


async def test_nobody_may_call_a_function_who_was_not_granted_it(connection: Connection) -> None:
    assert await (await connection.execute(_OPEN_TO_ALL)).fetchall() == []
    assert await (await connection.execute(_UNPINNED)).fetchall() == []


async def test_roles_are_made_for_a_schema_of_any_name_and_rights_survive_a_migration(
    empty_database: str,
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as owner:
        owner.execute('CREATE SCHEMA "My monitors"')
    conninfo = make_conninfo(empty_database, options='-c search_path="My\\ monitors"')
    schema.migrate(conninfo)
    async with await connect(conninfo) as owner:
        await add_sample_datacenters(owner)
    async with roles.made(conninfo) as logins:
        schema.migrate(conninfo)
        # The role itself knows the schema.
        agent = make_conninfo(logins["va"], options="")
        async with await connect(agent) as connection:
            assert await one(connection, "SELECT agent_register(1, 'a')") == 1
            await schema.verify(connection)


async def test_a_role_of_somebody_elses_making_keeps_what_it_was_granted(
    connection: Connection, logins: Mapping[str, str]
) -> None:
    await connection.execute("INSERT INTO schedules (name, interval) VALUES ('minute', 60)")
    async with await connect(logins["nobody"]) as somebody:
        name = somebody.info.user
        await connection.execute(f"GRANT SELECT ON schedules TO {name}".encode())

        assert await one(somebody, "SELECT name FROM schedules") == "minute"


async def test_an_agent_without_a_datacenter_is_refused(
    connection: Connection, logins: Mapping[str, str]
) -> None:
    await connection.execute("INSERT INTO api_monitors (name, url) VALUES ('m', 'http://h/')")
    await connection.execute("DELETE FROM database_roles WHERE datacenter_id = 1")
    async with await connect(logins["va"]) as agent:
        for statement in (
            "SELECT lease_ask(0, gen_random_uuid(), 'a', '5 s', 0, 0, false)",
            "SELECT heartbeats_ingest(1, '[]')",
            "SELECT history_expire()",
            "SELECT id FROM api_monitors",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await agent.execute(statement.encode())
        assert await one(agent, "SELECT count(*) FROM secrets") == 0
