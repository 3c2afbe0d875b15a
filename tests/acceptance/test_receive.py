"""The installed `uptimeo receive` in a process of its own, called as jobs and strangers call it."""

import asyncio
import re
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.agents import PATIENCE_S, Running, output, running
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.local import LocalServer
from uptimeo.storage.places import add_sample_datacenters

TOKEN = secrets.token_urlsafe(24)
ADD = (
    "INSERT INTO api_monitors (name, type, url, options) VALUES ('backup', 'PUSH', 'push://b', %s)"
)
# As if the receiver had been there for long, and the last signal were eight seconds old.
AGED = (
    "UPDATE push_receiving SET began_at = began_at - interval '1 minute'",
    "UPDATE push_signals SET received_at = clock_timestamp() - interval '8 seconds'",
)
UNHEARD_SINCE_DUE = """
SELECT count(*) FROM api_heartbeats
WHERE error_type = 'signals_unheard' AND error_message LIKE 'a signal may have been lost%'
"""
KINDS = "SELECT string_agg(concat_ws(' ', kind, exit_status), ', ' ORDER BY id) FROM push_signals"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the headers in lower case and without the date."""

    status: int
    headers: tuple[str, ...]
    body: bytes


class Receiver:
    """A running receiver, and a client without any opinion on what it sends."""

    def __init__(self, process: Running, address: str) -> None:
        self.process = process
        host, _, port = address.rpartition(":")
        self.where = (host, int(port))

    async def call(self, path: str, method: str = "GET", body: bytes = b"") -> Answer:
        reader, writer = await asyncio.open_connection(*self.where)
        lines = (f"{method} {path} HTTP/1.1", "Host: x", "Connection: close")
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        writer.write(head.encode() + body)
        async with asyncio.timeout(PATIENCE_S):
            received = await reader.read()
        writer.close()
        start, _, rest = received.partition(b"\r\n\r\n")
        first, *headers = start.decode().lower().split("\r\n")
        kept = tuple(sorted(line for line in headers if not line.startswith("date:")))
        return Answer(int(first.split()[1]), kept, rest)

    async def present(self) -> None:
        """Until it has told the database that it is there."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.call("/health")).status != 200:
                await asyncio.sleep(0.05)

    async def ping(self, what: str = "", **given: Any) -> int:
        return (await self.call(f"/ping/{TOKEN}{what}", **given)).status


@asynccontextmanager
async def receiving(conninfo: str) -> AsyncIterator[Receiver]:
    address = "127.0.0.1:0"
    async with running(
        "receive", DB_CONN_STRING=conninfo, UPTIMEO_RECEIVE_ADDRESS=address
    ) as process:
        yield Receiver(process, (await process.event("receiver_started"))["address"])


async def add_push(connection: Connection) -> None:
    options = {"token_sha256": sha256(TOKEN.encode()).hexdigest(), "period_s": 3600}
    await connection.execute(ADD, (Jsonb(options),))


@pytest.fixture
async def receiver(conninfo: str, connection: Connection) -> AsyncIterator[Receiver]:
    await add_push(connection)
    async with receiving(conninfo) as started:
        yield started


async def test_every_way_to_call_is_taken(receiver: Receiver, connection: Connection) -> None:
    assert await receiver.ping() == 200
    assert await receiver.ping(method="HEAD") == 200
    assert await receiver.ping("/start", method="POST") == 200
    assert await receiver.ping("/fail") == 200
    assert await receiver.ping("/0") == 200
    assert await receiver.ping("/255", method="POST", body=b"out of \x00space") == 200

    assert await one(connection, KINDS) == "success, success, start, fail, exit 0, exit 255"
    kept = await one(connection, "SELECT body FROM push_signals ORDER BY id DESC LIMIT 1")
    assert kept == "out of \N{REPLACEMENT CHARACTER}space"
    assert await one(connection, "SELECT host(source) FROM push_signals LIMIT 1") == "127.0.0.1"


async def test_whatever_is_not_there_has_one_answer(receiver: Receiver) -> None:
    stranger = secrets.token_urlsafe(24)
    asked = [
        ("GET", f"/ping/{stranger}"),
        ("POST", f"/ping/{stranger}/fail"),
        ("GET", f"/ping/{TOKEN}/256"),
        ("GET", f"/ping/{TOKEN}/stop"),
        ("GET", f"/ping/{TOKEN}/start/"),
        ("DELETE", f"/ping/{TOKEN}"),
        ("GET", "/ping/"),
        ("GET", "/ping/<script>"),
        ("GET", "/"),
        ("GET", "/docs"),
    ]
    answers = [await receiver.call(path, method) for method, path in asked]

    assert {answer.status for answer in answers} == {404}
    assert {answer.body for answer in answers} == {b"not found\n"}
    assert len({answer.headers for answer in answers}) == 1


async def test_a_body_is_kept_in_part_and_an_endless_one_refused(
    receiver: Receiver, connection: Connection
) -> None:
    assert await receiver.ping(method="POST", body=b"x" * 500_000) == 200
    assert await receiver.ping(method="POST", body=b"x" * 1_100_000) == 413

    assert await one(connection, "SELECT array_agg(length(body)) FROM push_signals") == [10_240]


async def test_a_job_that_calls_too_often_is_told_to_wait(receiver: Receiver) -> None:
    answers = [await receiver.call(f"/ping/{TOKEN}") for _ in range(40)]

    assert answers[0].status == 200
    assert answers[-1].status == 429
    assert "retry-after: 1" in answers[-1].headers


async def test_it_stops_in_order_and_no_token_is_in_its_log(
    receiver: Receiver, connection: Connection
) -> None:
    await receiver.ping()
    await receiver.present()
    receiver.process.signal(signal.SIGTERM)

    assert await receiver.process.ended() == 0
    assert receiver.process.lines[-1]["event"] == "receiver_stopped"
    assert TOKEN not in str(receiver.process.lines)
    told = "SELECT count(*) FROM push_receiving WHERE seen_at > began_at"
    assert await one(connection, told) == 1


async def test_while_the_database_is_away_jobs_hear_so_and_the_gap_is_kept(
    server: LocalServer,
) -> None:
    async with await connect(server.conninfo) as connection:
        await add_push(connection)
    async with receiving(server.conninfo) as receiver:
        assert await receiver.ping() == 200
        await receiver.present()
        server.stop()
        assert await receiver.ping("/fail") == 503
        await receiver.process.event("receiver_unready")
        assert (await receiver.call("/health")).status == 503
        assert (await receiver.call("/alive")).status == 200
        server.start()
        await receiver.process.event("receiver_ready")
        assert await receiver.ping("/7") == 200

    async with await connect(server.conninfo) as connection:
        assert await one(connection, KINDS) == "success, exit 7"
        assert await one(connection, "SELECT count(*) FROM push_receiving") == 2


async def test_an_address_in_use_is_said_once(receiver: Receiver, conninfo: str) -> None:
    address = f"127.0.0.1:{receiver.where[1]}"
    code, said, _ = await output(
        "receive", DB_CONN_STRING=conninfo, UPTIMEO_RECEIVE_ADDRESS=address
    )

    assert code == 2
    assert f"UPTIMEO_RECEIVE_ADDRESS: {address} cannot be listened on" in said


async def test_a_job_goes_from_the_command_line_to_its_heartbeats(
    environment: dict[str, str],
    as_writer: dict[str, str],
    logins: Mapping[str, str],
    connection: Connection,
) -> None:
    wanted = ("push://nightly", "--period", "3600", "--grace", "60", "--interval", "1")
    code, said, _ = await output(
        *("monitor", "add", *wanted), UPTIMEO_RECEIVE_URL="https://ping.example", **as_writer
    )
    found = re.search(r"https://ping\.example/ping/(\S+)", said)
    assert (code, bool(found)) == (0, True)
    assert found is not None
    token = found[1]
    beats = """
        SELECT response_body FROM api_heartbeats
        LEFT JOIN heartbeat_evidence USING (monitor_id, datacenter_id, scheduled_at)
        WHERE status = %s AND error_type IS NOT DISTINCT FROM %s AND executed_at > %s LIMIT 1
    """

    async def until(status: str, error: str | None) -> Any:
        began = await one(connection, "SELECT now() AT TIME ZONE 'UTC'")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                cursor = await connection.execute(beats.encode(), (status, error, began))
                if (row := await cursor.fetchone()) is not None:
                    return row[0]
                await asyncio.sleep(0.1)

    async with receiving(logins["postman"]) as receiver, running("agent", **environment):
        await until("up", None)
        await receiver.call(f"/ping/{token}/fail", "POST", b"disk full")
        assert await until("down", "push_failed") == "disk full"
        await receiver.call(f"/ping/{token}")
        await until("up", None)

    holding = "SELECT count(*) FROM api_monitors WHERE options::text LIKE '%%' || %s || '%%'"
    assert await one(connection, holding, (token,)) == 0


async def test_an_outage_of_the_database_makes_no_job_silent(
    server: LocalServer, environment: dict[str, str]
) -> None:
    base = {"DB_CONN_STRING": server.conninfo}
    async with await connect(server.conninfo) as connection:
        await add_sample_datacenters(connection)
    wanted = ("push://often", "--period", "10", "--grace", "0", "--interval", "1")
    _, said, _ = await output("monitor", "add", *wanted, **base)
    path = said.split()[said.split().index("once:") + 1].partition("/ping")[2]

    async with (
        receiving(server.conninfo) as receiver,
        running("agent", **environment | base) as agent,
    ):
        await receiver.process.event("receiver_started")
        assert (await receiver.call(f"/ping{path}")).status == 200
        await agent.event("heartbeat_inserted")
        async with await connect(server.conninfo) as connection:
            for statement in AGED:
                await connection.execute(statement)
        server.stop()
        await agent.event("offline_leader")
        await receiver.process.event("receiver_unready")
        server.start()
        await receiver.process.event("receiver_ready")
        await agent.event("online_again")
        async with await connect(server.conninfo) as connection, asyncio.timeout(PATIENCE_S):
            while not await one(connection, UNHEARD_SINCE_DUE):
                await asyncio.sleep(0.1)
            down = "SELECT count(*) FROM api_heartbeats WHERE status = 'down'"
            assert await one(connection, down) == 0
