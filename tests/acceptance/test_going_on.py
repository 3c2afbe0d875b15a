"""What an agent does when others fail it: the database, the network, its predecessor."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.acceptance.test_agent import add, connected, gaps, other
from tests.acceptance.test_outage import a_monitored_server
from tests.faults.history import spooled
from tests.support.agents import PATIENCE_S, output, running
from tests.support.postgres import frozen
from tests.support.servers import Address, mute, refusing, serve
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.local import LocalServer
from uptimeo.storage.monitor_edits import NewSchedule


async def test_a_leader_killed_during_an_outage_resumes_from_disk(
    server: LocalServer, environment: dict[str, str], target: Address
) -> None:
    await a_monitored_server(server, target)
    variables = environment | {"DB_CONN_STRING": server.conninfo}

    async with running("agent", **variables) as first:
        await first.event("heartbeat_inserted")
        await asyncio.sleep(0.5)
        server.stop()
        await first.event("offline_leader")
        await noted(Path(variables["UPTIMEO_DATA_DIR"]) / "leadership.json", '"offline": true')
        first.signal(signal.SIGKILL)
        await first.ended()
    async with running("agent", **variables) as second:
        resumed = await second.event("leader_resumed")
        await asyncio.sleep(2.5)
        server.start()
        await second.event("online_again")
        before = len(second.lines)
        await second.until(
            lambda: next(
                (x for x in second.lines[before:] if x["event"] == "heartbeat_inserted"), None
            ),
            "a heartbeat after the outage",
        )

    assert (resumed["term"], resumed["monitors"]) == (1, 1)
    async with await connect(server.conninfo) as connection:
        assert (
            await one(connection, "SELECT max(term) FROM agent_terms WHERE datacenter_id = 1") == 1
        )
        # The slots between the kill and the restart are the only ones without a heartbeat.
        assert await gaps(connection) <= 3


async def noted(path: Path, text: str) -> None:
    """Wait until the file says so."""
    async with asyncio.timeout(PATIENCE_S):
        while not (path.exists() and text in path.read_text()):
            await asyncio.sleep(0.02)


async def test_a_leader_killed_before_the_outage_waits_for_the_database(
    server: LocalServer, environment: dict[str, str], target: Address
) -> None:
    await a_monitored_server(server, target)
    variables = environment | {"DB_CONN_STRING": server.conninfo}

    async with running("agent", **variables) as first:
        await first.event("heartbeat_inserted")
        first.signal(signal.SIGKILL)
        await first.ended()
    await asyncio.sleep(4)  # the lease has run out: another might have taken it
    server.stop()
    async with running("agent", **variables) as second:
        await second.event("database_unavailable")
        server.start()
        await second.event("lease_acquired", term=2)

    assert not any(line["event"] == "leader_resumed" for line in second.lines)


async def test_a_stop_waits_for_no_database_that_hangs(
    server: LocalServer, environment: dict[str, str], target: Address
) -> None:
    await a_monitored_server(server, target)
    variables = environment | {"DB_CONN_STRING": server.conninfo}

    async with serve(mute) as silent, running("agent", **variables) as agent:
        async with await connect(server.conninfo) as connection:
            await add(connection, "silent", silent.url("/"), schedule=NewSchedule(interval_s=5))
        await agent.event("heartbeat_inserted")
        with frozen(server._directory):
            await agent.event("offline_leader")
            await connected(silent)
            agent.signal(signal.SIGTERM)
            asked_at = time.monotonic()
            code = await agent.ended()
            took_s = time.monotonic() - asked_at
    left = spooled(Path(variables["UPTIMEO_DATA_DIR"]) / "spool")

    assert code == 0
    assert took_s < 5
    assert {beat.what.monitor for beat in left} == {1, 2}
    async with await connect(server.conninfo) as connection:
        slots = """
            SELECT extract(epoch FROM scheduled_at) * 1000 FROM api_heartbeats WHERE monitor_id = 1
        """
        stored = await (await connection.execute(slots)).fetchall()
    told = {int(slot) for (slot,) in stored} | {b.what.slot_ms for b in left if b.what.monitor == 1}
    assert max(told) - min(told) == (len(told) - 1) * 1000


async def test_a_start_that_hangs_can_be_stopped(environment: dict[str, str]) -> None:
    async with serve(mute) as silent:
        dsn = f"postgresql://ann@{silent.host}:{silent.port}/uptimeo"
        async with running("agent", **environment | {"DB_CONN_STRING": dsn}) as agent:
            await connected(silent)
            agent.signal(signal.SIGINT)
            code = await agent.ended()

    assert code == 0


async def test_a_strict_leader_starts_nothing_without_a_database(
    server: LocalServer, environment: dict[str, str], target: Address
) -> None:
    await a_monitored_server(server, target)
    variables = environment | {"DB_CONN_STRING": server.conninfo, "UPTIMEO_OFFLINE": "strict"}

    async with running("agent", **variables) as agent:
        await agent.event("heartbeat_inserted")
        server.stop()
        await agent.event("checks_suspended")
        await asyncio.sleep(2)
        server.start()
        await agent.event("heartbeat_inserted", status="unknown")

    async with await connect(server.conninfo) as connection:
        skipped = "SELECT count(*) >= 2 FROM api_heartbeats WHERE error_type = 'skipped_lease'"
        assert await one(connection, skipped) is True
        assert await gaps(connection) == 0


async def test_a_new_leader_runs_the_slot_that_nobody_ran(
    environment: dict[str, str], connection: Connection, target: Address, tmp_path: Path
) -> None:
    every = NewSchedule(interval_s=6)
    for number in range(12):
        await add(connection, f"m{number}", target.url("/"), schedule=every)

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running("agent", **environment))
        for number in range(12):
            await first.event("heartbeat_inserted", monitor_name=f"m{number}")
        second = await stack.enter_async_context(running("agent", **other(environment, tmp_path)))
        await second.event("standing_by")
        first.signal(signal.SIGKILL)
        await second.event("lease_acquired")
        for number in range(12):
            await second.event("heartbeat_inserted", monitor_name=f"m{number}")

    missing = """
        SELECT coalesce(sum((extract(epoch FROM last - first) / 6)::int + 1 - n), 0)::int FROM (
            SELECT min(scheduled_at) AS first, max(scheduled_at) AS last, count(*) AS n
            FROM api_heartbeats GROUP BY monitor_id) m
    """
    assert await one(connection, missing) == 0
    late = """
        SELECT max(executed_at AT TIME ZONE 'UTC' - scheduled_at) > interval '300 ms'
        FROM api_heartbeats
    """
    assert await one(connection, late) is True


async def test_a_change_is_in_force_long_before_the_next_poll(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    slow = environment | {"UPTIMEO_CONFIG_POLL_S": "300"}
    await add(connection, "old", target.url("/"))

    async with running("agent", **slow) as agent:
        await agent.event("notifications_work")
        await agent.event("heartbeat_inserted", monitor_name="old")
        await connection.execute("UPDATE api_monitors SET name = 'new'")
        await agent.event("heartbeat_inserted", monitor_name="new")


@pytest.mark.parametrize(("alive", "expected"), [(True, "down"), (False, "unknown")])
async def test_a_failure_in_an_isolated_datacenter_says_nothing_about_the_target(
    environment: dict[str, str], connection: Connection, *, alive: bool, expected: str
) -> None:
    async with AsyncExitStack() as stack:
        dead = stack.enter_context(refusing())
        reference = await stack.enter_async_context(serve(mute)) if alive else dead
        await add(connection, "m", dead.url("/"))
        given = {"UPTIMEO_REFERENCE_TARGETS": f"127.0.0.1:{reference.port}"}
        agent = await stack.enter_async_context(running("agent", **environment | given))

        line = await agent.event("heartbeat_inserted")

    assert line["status"] == expected


async def test_a_second_signal_ends_it_at_once(
    environment: dict[str, str], connection: Connection
) -> None:
    async with serve(mute) as silent:
        await add(connection, "silent", silent.url("/"), schedule=NewSchedule(interval_s=5))

        async with running("agent", **environment) as agent:
            await connected(silent)
            agent.signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
            agent.signal(signal.SIGTERM)
            code = await agent.ended()

    assert code == -signal.SIGTERM


async def test_status_and_doctor_tell_who_leads_and_what_is_wrong(
    environment: dict[str, str],
    as_reader: dict[str, str],
    connection: Connection,
    target: Address,
    tmp_path: Path,
) -> None:
    await add(connection, "m", target.url("/"))

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running("agent", **environment))
        await first.event("heartbeat_inserted")
        second = await stack.enter_async_context(running("agent", **other(environment, tmp_path)))
        await second.event("standing_by")
        await asyncio.sleep(0.5)
        state = await output("status", **as_reader)
        good = await output("doctor", **as_reader)
        await connection.execute("SELECT heartbeat_set_aside(1, 'odd', '{}')")
        bad = await output("doctor", **as_reader)

    assert state[0] == 0
    assert "VA  agent-a leads since" in state[1]
    assert "standing by: agent-b" in state[1]
    assert "0 critical, 0 warning" in good[1]
    assert (good[0], bad[0]) == (0, 1)
    assert "set aside, VA" in bad[1]
