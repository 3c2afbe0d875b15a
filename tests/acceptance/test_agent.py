"""The installed agent in processes of its own, from config rows to rows of heartbeats."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import PATIENCE_S, Running, output, running
from tests.support.servers import Address, answering, mute, response, serve
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.database import Connection, one
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule

EVERY_SECOND = NewSchedule(interval_s=1, warning_ms=300, critical_ms=1000)
HOSTILE = response(
    "200 OK",
    "Content-Type: " + "x" * 300,
    "Server: nul-\xff",
    "X-Odd: \x01\x02",
    body=b'{"text": "\\u0000"}\x00\xff\xfe not json',
)


async def add(connection: Connection, name: str, url: str, **fields: Any) -> int:
    given: dict[str, Any] = {"schedule": EVERY_SECOND, "type": "HTTP", **fields}
    return await edits.add_monitor(connection, NewMonitor(name=name, url=url, **given))


async def connected(address: Address) -> None:
    """Wait until somebody is connected to the port, by the kernel's own table."""
    wanted = f":{address.port:04X}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            if any(row[1].endswith(wanted) and row[3] == "01" for row in rows):
                return
            await asyncio.sleep(0.02)


async def gaps(connection: Connection) -> int:
    """How many slots are missing between the first and the last heartbeat of each monitor."""
    query = """
        SELECT coalesce(sum(extract(epoch FROM last - first) + 1 - n), 0)::int FROM (
            SELECT min(scheduled_at) AS first, max(scheduled_at) AS last, count(*) AS n
            FROM api_heartbeats GROUP BY monitor_id) m
    """
    return int(await one(connection, query))


def other(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    own = {"UPTIMEO_INSTANCE": "agent-b", "UPTIMEO_DATA_DIR": str(tmp_path / "other")}
    return environment | own


async def test_a_row_becomes_heartbeats_and_the_log_says_so_in_the_old_words(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    monitor = await add(connection, "front page", target.url("/"))

    async with running("agent", **environment) as agent:
        await agent.event("lease_acquired", message="Acquired lock for datacenter:1")
        line = await agent.event("heartbeat_inserted")
        agent.signal(signal.SIGTERM)
        assert await agent.ended() == 0
        await agent.event("lease_released", message="Released lock for datacenter:1")

    assert line["message"] == f"Heartbeat inserted for monitor {monitor} (front page)"
    query = "SELECT status || ' ' || response_status_code FROM api_heartbeats LIMIT 1"
    assert await one(connection, query) == "up 200"


async def test_a_second_agent_stands_by_and_leads_when_the_first_is_killed(
    environment: dict[str, str], connection: Connection, target: Address, tmp_path: Path
) -> None:
    await add(connection, "m", target.url("/"))

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running("agent", **environment))
        await first.event("heartbeat_inserted")
        second = await stack.enter_async_context(running("agent", **other(environment, tmp_path)))
        standby = await second.event("standing_by")
        first.signal(signal.SIGKILL)
        taken = await second.event("lease_acquired")
        await second.event("heartbeat_inserted")

    assert standby["leader"] == "agent-a"
    assert taken["term"] == 2


async def test_a_stopped_agent_hands_over_at_once(
    environment: dict[str, str], connection: Connection, target: Address, tmp_path: Path
) -> None:
    await add(connection, "m", target.url("/"))

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running("agent", **environment))
        await first.event("lease_acquired")
        second = await stack.enter_async_context(running("agent", **other(environment, tmp_path)))
        await second.event("standing_by")
        first.signal(signal.SIGTERM)
        await second.event("lease_acquired", term=2)
        assert await first.ended() == 0

    handover = (
        "SELECT max(started_at) - min(started_at) > interval '0' FROM agent_terms"
        " WHERE datacenter_id = 1"
    )
    assert await one(connection, handover)


async def test_a_bad_row_disables_itself_alone_and_is_listed(
    environment: dict[str, str],
    as_writer: dict[str, str],
    connection: Connection,
    target: Address,
) -> None:
    await add(connection, "good", target.url("/"))
    bad = await add(connection, "bad", target.url("/"))
    await connection.execute(
        'UPDATE api_monitors SET headers = \'{"X-A": "b\\r\\nInjected: c"}\' WHERE id = %s', (bad,)
    )

    async with running("agent", **environment) as agent:
        line = await agent.event("monitor_invalid")
        await agent.event("heartbeat_inserted", monitor_name="good")
    _, listed, _ = await output("monitor", "list", **as_writer)

    assert (line["monitor_id"], "line break" in line["reason"]) == (bad, True)
    assert "line break" in await one(connection, "SELECT reason FROM monitor_config_errors")
    assert "invalid" in listed
    assert "line break" in " ".join(listed.split())


async def test_changes_of_the_rows_are_picked_up_while_running(
    environment: dict[str, str],
    as_writer: dict[str, str],
    connection: Connection,
    target: Address,
) -> None:
    async with running("agent", **environment) as agent:
        await agent.event("lease_acquired")
        code, said, _ = await output(
            "monitor", "add", target.url("/"), "--name", "new", "--interval", "1", **as_writer
        )
        await agent.event("heartbeat_inserted", monitor_name="new")
        await connection.execute("UPDATE api_monitors SET url = url || 'changed', name = 'newer'")
        await agent.event("heartbeat_inserted", monitor_name="newer")

    assert (code, "added monitor" in said) == (0, True)


async def test_a_hostile_answer_is_stored_safely_beside_the_others(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    async with serve(answering(HOSTILE)) as hostile:
        await add(connection, "hostile", hostile.url("/"))
        await add(connection, "good", target.url("/"))

        async with running("agent", **environment) as agent:
            await agent.event("heartbeat_inserted", monitor_name="hostile")
            await agent.event("heartbeat_inserted", monitor_name="good")

    query = "SELECT string_agg(DISTINCT jsonb_typeof(response_body), ',') FROM heartbeat_evidence"
    assert await one(connection, query) == "string"
    assert await one(connection, "SELECT count(*) FROM api_heartbeats_set_aside") == 0


async def test_headers_and_json_body_of_the_row_are_really_sent(
    environment: dict[str, str], connection: Connection
) -> None:
    received: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65536))
        writer.write(response("204 No Content"))

    async with serve(script) as address:
        await add(
            connection,
            "post",
            address.url("/orders"),
            method="POST",
            headers={"X-Team": "edge"},
            body={"order": 7},
        )
        async with running("agent", **environment) as agent:
            await agent.event("heartbeat_inserted", status="up")

    assert received[0].startswith(b"POST /orders HTTP/1.1\r\n")
    assert b"\r\nX-Team: edge\r\n" in received[0]
    assert received[0].endswith(b'\r\n\r\n{"order": 7}')


async def test_a_check_in_flight_at_the_stop_leaves_an_unknown_heartbeat(
    environment: dict[str, str], connection: Connection
) -> None:
    async with serve(mute) as silent:
        await add(connection, "silent", silent.url("/"), schedule=NewSchedule(interval_s=5))

        async with running("agent", **environment) as agent:
            await agent.event("lease_acquired")
            await connected(silent)
            agent.signal(signal.SIGINT)
            code = await agent.ended()

    query = "SELECT error_type || ' ' || (success IS NULL) FROM api_heartbeats"
    assert (code, await one(connection, query)) == (0, "agent_stopped true")


async def test_no_slot_is_missing_after_the_database_sessions_are_cut(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    await add(connection, "m", target.url("/"))

    async with running("agent", **environment) as agent:
        await agent.event("heartbeat_inserted")
        for _ in range(5):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.5)
        before = len(agent.lines)
        await agent.until(lambda: _inserted(agent, before), "a heartbeat after the cuts")

    assert await gaps(connection) == 0
    assert await one(connection, "SELECT max(term) FROM agent_terms WHERE datacenter_id = 1") == 1


def _inserted(agent: Running, after: int) -> dict[str, Any] | None:
    lines = agent.lines[after:]
    return next((line for line in lines if line["event"] == "heartbeat_inserted"), None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"DATACENTER_ID": ""}, "DATACENTER_ID is not set"),
        ({"DATACENTER_ID": "77"}, "DATACENTER_ID: there is no datacenter 77; known are: 1 VA"),
        ({"DATACENTER_ID": "VA"}, "DATACENTER_ID: 'VA' is wrong"),
        ({"DB_CONN_STRING": ""}, "DB_CONN_STRING is not set"),
        ({"DB_CONN_STRING": "nonsense"}, "DB_CONN_STRING: 'nonsense' is wrong"),
        ({"DB_CONN_STRING": "postgresql://h:x/d"}, "DB_CONN_STRING: not a PostgreSQL connection"),
        ({"LOG_HEARTBEATS": "some"}, "LOG_HEARTBEATS: 'some' is wrong"),
        ({"UPTIMEO_LEASE_TTL_S": "2"}, "UPTIMEO_LEASE_TTL_S: '2' is wrong"),
    ],
)
async def test_a_wrong_setting_is_refused_in_one_line_that_names_it(
    environment: dict[str, str], changes: dict[str, str], expected: str
) -> None:
    async with running("agent", **(environment | changes)) as agent:
        code = await agent.ended()

    assert code == 2
    assert [line["event"] for line in agent.lines] == ["start_refused"]
    assert agent.lines[0]["message"].startswith(expected)


async def test_a_database_that_does_not_exist_or_has_no_schema_is_refused(
    environment: dict[str, str], empty_database: str
) -> None:
    async with running("agent", **(environment | {"DB_CONN_STRING": empty_database})) as agent:
        assert await agent.ended() == 2

    assert "uptimeo migrate" in agent.lines[-1]["message"]
