"""Notices of changes, reports of instances, the history of leadership."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from uptimeo.domain.lease import LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.presence import Presence, SpoolState
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.changes import ChangeNotices
from uptimeo.storage.database import Connection, Pool, one
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.storage.instances import InstanceStore, peer_book
from uptimeo.storage.lease import Lease
from uptimeo.storage.places import register_agent
from uptimeo.storage.reports import Reports

VA = DatacenterId(1)
EMPTY = SpoolState(rows=0, bytes=0, dropped=0)


@pytest.fixture
async def monitor(connection: Connection) -> int:
    schedule = edits.NewSchedule(interval_s=60)
    new = edits.NewMonitor(name="m", type="HTTP", url="http://h/", schedule=schedule)
    return await edits.add_monitor(connection, new)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_monitors SET name = 'other'",
        "UPDATE api_monitors SET options = '{\"verify_tls\": false}'",
        "UPDATE schedules SET thresholds_warning = 5",
        "INSERT INTO datacenter_monitors SELECT 1, id FROM api_monitors",
        "DELETE FROM api_monitors",
        "TRUNCATE datacenter_monitors",
    ],
)
async def test_every_change_of_the_configuration_is_announced(
    conninfo: str, connection: Connection, monitor: int, statement: str
) -> None:
    notices = ChangeNotices(conninfo)
    await notices.listen()

    waiting = asyncio.create_task(notices.wait(30))
    await asyncio.sleep(0)
    await connection.execute(statement.encode())

    assert notices.work is True
    assert await waiting is True
    await notices.aclose()


async def test_without_a_change_the_wait_ends_by_itself(conninfo: str) -> None:
    notices = ChangeNotices(conninfo)
    await notices.listen()

    assert await notices.wait(0.05) is False
    await notices.aclose()


async def test_leader_standbys_and_history_are_told(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    for name in ("a", "b"):
        agent = await register_agent(connection, name, VA)
        board = InstanceStore(pool, VA, agent, datetime.now(UTC))
        await board.report(Presence(term=None, spool=EMPTY))
    lease, candidate = Lease(conninfo, VA, "a", timedelta(seconds=30)), uuid4()
    request = LeaseRequest(candidate=candidate, seen_term=0, seen_seq=0, may_steal=False)
    await lease.ask(request, 5)

    (watch,) = await Reports(connection).watches()
    leads = await one(connection, "SELECT leads_now FROM leadership WHERE leader = 'a'")
    await lease.release(candidate, 1, 5)
    (after,) = await Reports(connection).watches()
    ended = await one(connection, "SELECT ended_at >= started_at FROM leadership")

    assert (watch.leader, watch.term, watch.standbys) == ("a", 1, ("b",))
    assert (leads, after.leader, ended) == (True, None, True)
    await lease.aclose()


async def test_an_instance_leaves_the_board(connection: Connection, pool: Pool) -> None:
    agent = await register_agent(connection, "a", VA)
    board = InstanceStore(pool, VA, agent, datetime.now(UTC))
    spool = SpoolState(rows=2, bytes=100, dropped=1)
    await board.report(Presence(term=4, spool=spool, loop_lag_p99_ms=2.5))
    late_ms = await one(connection, "SELECT loop_lag_p99_ms FROM agent_instances")
    before = await one(connection, "SELECT term + spool_rows + dropped FROM agent_instances")

    await board.forget()

    assert before == 7
    assert late_ms == 2.5
    assert await one(connection, "SELECT count(*) FROM agent_instances") == 0


async def test_agents_of_a_datacenter_find_each_other_and_share_a_key(
    connection: Connection, pool: Pool
) -> None:
    books = {}
    for number, (name, place) in enumerate((("a", VA), ("b", VA), ("c", DatacenterId(2)))):
        agent = await register_agent(connection, name, place)
        here = Presence(term=None, spool=EMPTY, peer_address=f"192.0.2.{number}:4{number}")
        books[name] = await InstanceStore(pool, place, agent, datetime.now(UTC)).report(here)
    agent = await register_agent(connection, "a", VA)

    book = await peer_book(connection, VA, agent)

    assert book.addresses == ("192.0.2.1:41",)
    assert book.key == books["a"].key == books["b"].key != books["c"].key
    assert (len(book.key), books["c"].addresses) == (32, ())


async def test_an_agent_that_was_not_seen_for_long_is_no_peer(
    connection: Connection, pool: Pool
) -> None:
    for name in "ab":
        agent = await register_agent(connection, name, VA)
        here = Presence(term=None, spool=EMPTY, peer_address="192.0.2.1:4")
        await InstanceStore(pool, VA, agent, datetime.now(UTC)).report(here)
    await connection.execute("UPDATE agent_instances SET last_seen = now() - interval '2 h'")

    assert (await peer_book(connection, VA, agent)).addresses == ()


async def test_the_newest_slot_of_each_monitor_is_known(
    connection: Connection, pool: Pool, monitor: int
) -> None:
    await connection.execute(
        "INSERT INTO api_heartbeats (monitor_id, datacenter_id, scheduled_at, executed_at, status)"
        " SELECT %s, 1, now() - n * interval '1 min', now(), 'up' FROM generate_series(0, 3) n",
        (monitor,),
    )
    newest = await one(connection, "SELECT max(scheduled_at) FROM api_heartbeats")

    slots = await HeartbeatStore(pool, VA).latest_slots()

    assert slots == {monitor: newest}
    assert await HeartbeatStore(pool, DatacenterId(2)).latest_slots() == {}
