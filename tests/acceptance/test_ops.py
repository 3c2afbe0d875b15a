"""What does a running agent answer to those who operate it?"""

import asyncio
import json
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from prometheus_client.samples import Sample

from tests.acceptance.test_agent import add, other
from tests.acceptance.test_outage import a_monitored_server
from tests.support.agents import PATIENCE_S, Running, running
from tests.support.http_asking import asked
from tests.support.ops import samples, value
from tests.support.servers import Address
from uptimeo.storage.database import Connection
from uptimeo.storage.local import LocalServer
from uptimeo.storage.monitor_edits import remove_monitor

OPEN = {"UPTIMEO_OPS_LISTEN": "127.0.0.1:0"}


async def told(agent: Running, path: str, method: str = "GET") -> tuple[int, str]:
    """What the agent says there: status and body."""
    address = (await agent.event("ops_started"))["address"]
    status, _, body = await asked(address, path, method)
    return status, body.decode()


async def metrics(agent: Running) -> list[Sample]:
    status, text = await told(agent, "/metrics")
    assert status == 200
    return samples(text)


async def ready(agent: Running) -> tuple[int, dict[str, Any]]:
    status, body = await told(agent, "/readyz")
    return status, json.loads(body)


async def until_metric(agent: Running, wanted: float | None, name: str, **labels: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while value(await metrics(agent), name, **labels) != wanted:
            await asyncio.sleep(0.1)


async def until_ready(agent: Running, **wanted: object) -> int:
    """The status, once the body says all of this."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, body = await ready(agent)
            if wanted.items() <= body.items():
                return status
            await asyncio.sleep(0.1)


async def test_the_series_of_a_monitor_come_with_its_check_and_go_with_its_row(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    stays = await add(connection, "stays", target.url("/"))
    goes = await add(connection, "goes", target.url("/"))

    async with running("agent", **environment, **OPEN) as agent:
        await until_metric(agent, 1, "probe_success", monitor_id=str(stays), monitor="stays")
        await until_metric(agent, 1, "probe_success", monitor_id=str(goes))
        await agent.event("heartbeat_inserted")
        await until_metric(agent, 0, "uptimeo_retention_held")
        found = await metrics(agent)
        await remove_monitor(connection, goes)
        await until_metric(agent, None, "probe_success", monitor_id=str(goes))
        after = await metrics(agent)
        agent.signal(signal.SIGTERM)
        assert await agent.ended() == 0

    assert value(found, "probe_http_status_code", monitor_id=str(stays), agent="agent-a") == 200
    assert value(found, "uptimeo_leader", datacenter="VA") == 1
    assert value(found, "uptimeo_partitions_ahead") == 7
    assert (value(found, "uptimeo_heartbeats_inserted_total") or 0) >= 1
    assert value(after, "uptimeo_monitor_status", monitor_id=str(goes), status="up") is None
    assert value(after, "probe_success", monitor_id=str(stays)) == 1
    assert value(after, "uptimeo_monitors") == 1


async def test_whoever_maintains_the_installation_tells_of_unusual_heartbeats_and_a_false_clock(
    environment: dict[str, str], connection: Connection
) -> None:
    await connection.execute(
        "INSERT INTO api_heartbeats_set_aside (received_at, datacenter_id, reason, payload)"
        " VALUES (now(), 1, 'unknown term', '{}')"
    )
    await connection.execute("UPDATE retention_clock SET believed_at = now() - interval '1 month'")

    async with running("agent", **environment, **OPEN) as agent:
        await until_metric(
            agent, 1, "uptimeo_unusual_heartbeats", sender="VA", kind="set aside: unknown term"
        )
        await until_metric(agent, 1, "uptimeo_retention_held")


async def test_a_standby_is_ready_and_shows_no_results_until_it_leads(
    environment: dict[str, str], connection: Connection, target: Address, tmp_path: Path
) -> None:
    await add(connection, "m", target.url("/"))

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running("agent", **environment, **OPEN))
        await first.event("lease_acquired")
        second = await stack.enter_async_context(
            running("agent", **other(environment, tmp_path), **OPEN)
        )
        await second.event("standing_by")
        assert await until_ready(second, role="standby", ready=True) == 200
        assert await until_ready(first, role="leader", ready=True) == 200
        await until_metric(first, 1, "probe_success")
        assert value(await metrics(second), "probe_success") is None
        assert value(await metrics(second), "uptimeo_leader") == 0
        first.signal(signal.SIGKILL)
        await second.event("lease_acquired", term=2)
        await until_metric(second, 1, "probe_success", monitor="m")
        assert value(await metrics(second), "uptimeo_term") == 2


async def test_without_a_database_a_leader_is_ready_and_degraded_and_a_standby_is_not(
    server: LocalServer, environment: dict[str, str], target: Address, tmp_path: Path
) -> None:
    await a_monitored_server(server, target)
    given = environment | OPEN | {"DB_CONN_STRING": server.conninfo}

    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(running("agent", **given))
        await leader.event("heartbeat_inserted")
        standby = await stack.enter_async_context(running("agent", **other(given, tmp_path)))
        await until_ready(standby, role="standby", ready=True)
        server.stop()
        went_on = await until_ready(leader, ready=True, degraded=True)
        hindered = await until_ready(standby, ready=False)
        alive = [(await told(each, "/healthz"))[0] for each in (leader, standby)]
        _, body = await ready(leader)
        server.start()
        again = await until_ready(standby, ready=True, degraded=False)

    assert (went_on, hindered, again) == (200, 503, 200)
    assert alive == [200, 200]
    assert body["database"]["reached"] is False
    assert body["checks_may_start"] is True


async def test_a_port_in_use_stops_nobody_from_checking(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    await add(connection, "m", target.url("/"))

    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running("agent", **environment, UPTIMEO_OPS_LISTEN=where) as agent:
            line = await agent.event("ops_unavailable")
            await agent.event("heartbeat_inserted")

    assert where in line["message"]
    assert "in use" in line["error"]


async def test_an_agent_measures_its_own_error_and_says_so(
    environment: dict[str, str], connection: Connection
) -> None:
    given = environment | OPEN | {"UPTIMEO_CALIBRATE_EVERY_S": "0.1"}
    given["UPTIMEO_FORBIDDEN_NETWORKS"] = "default"  # its own target is on loopback, and allowed

    async with running("agent", **given) as agent:
        await agent.event("lease_acquired")
        async with asyncio.timeout(PATIENCE_S):
            while value(found := await metrics(agent), "uptimeo_calibration_timestamp_seconds") is (
                None
            ):
                await asyncio.sleep(0.5)
        agent.signal(signal.SIGTERM)
        assert await agent.ended() == 0

    error, label = "uptimeo_calibration_error_seconds", {"phase": "first_byte"}
    worst = value(found, error, quantile="1", **label)
    median = value(found, error, quantile="0.5", **label)
    assert worst is not None
    assert median is not None
    assert 0 <= median <= worst < 5
    assert value(found, f"{error}_count", **label) == 20
    assert not [line for line in agent.lines if line["event"] == "calibration_failed"]


async def test_without_the_setting_nobody_listens(
    environment: dict[str, str], connection: Connection
) -> None:
    async with running("agent", **environment) as agent:
        await agent.event("lease_acquired")
        sockets = Path(f"/proc/{agent.process.pid}/net/tcp").read_text().splitlines()[1:]
        own = {
            link.readlink().name
            for link in Path(f"/proc/{agent.process.pid}/fd").iterdir()
            if link.is_symlink()
        }
        listening = [row for row in map(str.split, sockets) if row[3] == "0A"]

    assert not [row for row in listening if f"socket:[{row[9]}]" in own]
