"""A database that is away: at the start, and in the middle."""

from collections.abc import Mapping, Sequence

from tests.acceptance.test_agent import EVERY_SECOND, gaps
from tests.support.agents import running
from tests.support.servers import Address
from uptimeo.storage.database import connect, one
from uptimeo.storage.local import LocalServer
from uptimeo.storage.monitor_edits import NewMonitor, add_monitor
from uptimeo.storage.places import add_sample_datacenters


async def a_monitored_server(server: LocalServer, target: Address) -> None:
    """Put one monitor in, checked every second."""
    async with await connect(server.conninfo) as connection:
        await add_sample_datacenters(connection)
        new = NewMonitor(name="m", type="HTTP", url=target.url("/"), schedule=EVERY_SECOND)
        await add_monitor(connection, new)


def inserted(lines: Sequence[Mapping[str, object]]) -> int:
    return sum(line["event"] == "heartbeat_inserted" for line in lines)


async def test_a_database_that_is_down_at_the_start_is_waited_for(
    server: LocalServer, environment: dict[str, str]
) -> None:
    async with await connect(server.conninfo) as connection:
        await add_sample_datacenters(connection)
    server.stop()

    async with running("agent", **environment | {"DB_CONN_STRING": server.conninfo}) as agent:
        await agent.event("database_unavailable")
        server.start()
        await agent.event("lease_acquired")


async def test_checks_go_on_while_the_database_is_away_and_none_is_lost(
    server: LocalServer, environment: dict[str, str], target: Address
) -> None:
    await a_monitored_server(server, target)

    async with running("agent", **environment | {"DB_CONN_STRING": server.conninfo}) as agent:
        await agent.event("heartbeat_inserted")
        server.stop()
        await agent.event("offline_leader")
        server.start()
        await agent.event("online_again")
        before = len(agent.lines)
        # The outage may have been so short that only one slot fell into it.
        await agent.until(
            lambda: {} if inserted(agent.lines[before:]) and inserted(agent.lines) >= 3 else None,
            "a heartbeat after the outage, and three in all",
        )

    async with await connect(server.conninfo) as connection:
        assert await gaps(connection) == 0
        assert await one(connection, "SELECT count(*) >= 3 FROM api_heartbeats") is True
        assert (
            await one(connection, "SELECT max(term) FROM agent_terms WHERE datacenter_id = 1") == 1
        )
        doubled = "SELECT count(*) - count(DISTINCT (monitor_id, scheduled_at)) FROM api_heartbeats"
        assert await one(connection, doubled) == 0
