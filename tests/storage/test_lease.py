"""The lease on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from uptimeo.clock import boottime
from uptimeo.domain.lease import LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, one
from uptimeo.storage.lease import Lease

VA = DatacenterId(1)
CONNECTING_S = 0.5


def a_lease(conninfo: str, name: str = "a", ttl_s: float = 3.0) -> Lease:
    return Lease(conninfo, VA, name, timedelta(seconds=ttl_s))


def a_request(*, seen: tuple[int, int] = (0, 0), may_steal: bool = False) -> LeaseRequest:
    return LeaseRequest(candidate=uuid4(), seen_term=seen[0], seen_seq=seen[1], may_steal=may_steal)


async def test_the_first_to_ask_holds_the_lease_and_the_second_sees_who(conninfo: str) -> None:
    first, second = a_lease(conninfo, "first"), a_lease(conninfo, "second")

    mine = await first.ask(a_request(), 5)
    theirs = await second.ask(a_request(), 5)

    assert (mine.held, mine.term) == (True, 1)
    assert (theirs.held, theirs.term, theirs.holder) == (False, 1, "first")
    await first.aclose()
    await second.aclose()


async def test_of_many_who_ask_at_once_one_holds_the_lease(conninfo: str) -> None:
    leases = [a_lease(conninfo, f"agent {n}") for n in range(20)]

    answers = await asyncio.gather(*(lease.ask(a_request(), 10) for lease in leases))

    assert sum(answer.held for answer in answers) == 1
    for lease in leases:
        await lease.aclose()


async def test_a_renewal_keeps_the_term_even_after_expiry(conninfo: str) -> None:
    lease, request = a_lease(conninfo, ttl_s=0.0), a_request()

    before = await lease.ask(request, 5)
    after = await lease.ask(request, 5)

    assert (after.held, after.term, after.seq) == (True, before.term, before.seq + 1)
    await lease.aclose()


async def test_an_expired_lease_is_not_stolen_by_one_who_saw_another_sequence(
    conninfo: str,
) -> None:
    holder, thief = a_lease(conninfo, ttl_s=0.0), a_lease(conninfo)
    held = await holder.ask(a_request(), 5)

    hasty = await thief.ask(a_request(seen=(held.term, held.seq - 1), may_steal=True), 5)
    unsure = await thief.ask(a_request(seen=(held.term, held.seq), may_steal=False), 5)
    rightful = await thief.ask(a_request(seen=(held.term, held.seq), may_steal=True), 5)

    assert [hasty.held, unsure.held, rightful.held] == [False, False, True]
    assert rightful.term == held.term + 1
    await holder.aclose()
    await thief.aclose()


async def test_a_lease_that_has_not_expired_is_not_stolen(conninfo: str) -> None:
    holder, thief = a_lease(conninfo, ttl_s=60), a_lease(conninfo)
    held = await holder.ask(a_request(), 5)

    answer = await thief.ask(a_request(seen=(held.term, held.seq), may_steal=True), 5)

    assert not answer.held
    await holder.aclose()
    await thief.aclose()


async def test_a_release_wakes_the_standby_and_frees_the_lease(conninfo: str) -> None:
    holder, standby = a_lease(conninfo), a_lease(conninfo)
    request = a_request()
    held = await holder.ask(request, 5)
    await standby.ask(a_request(), 5)

    waiting = asyncio.create_task(standby.wait_for_release(30))
    await asyncio.sleep(0)
    await holder.release(request.candidate, held.term, 5)
    await asyncio.wait_for(waiting, 20)

    assert (await standby.ask(a_request(), 5)).term == held.term + 1
    await holder.aclose()
    await standby.aclose()


async def test_only_the_holder_of_the_term_can_release_it(
    conninfo: str, connection: Connection
) -> None:
    holder, stranger = a_lease(conninfo), a_lease(conninfo)
    held = await holder.ask(a_request(), 5)

    await stranger.release(uuid4(), held.term, 5)

    assert await one(connection, "SELECT holder IS NOT NULL FROM agent_leases") is True
    await holder.aclose()
    await stranger.aclose()


async def test_the_history_of_terms_says_who_led_from_when(
    conninfo: str, connection: Connection
) -> None:
    for name in ("first", "second"):
        lease, request = a_lease(conninfo, name), a_request()
        held = await lease.ask(request, 5)
        await lease.release(request.candidate, held.term, 5)
        await lease.aclose()

    cursor = await connection.execute("SELECT term, holder_name FROM agent_terms ORDER BY term")

    assert await cursor.fetchall() == [(1, "first"), (2, "second")]


@asynccontextmanager
async def slow_to_connect(conninfo: str, directory: Path) -> AsyncIterator[str]:
    """The same database behind a door that lets each connection wait, and nothing after it."""
    given = conninfo_to_dict(conninfo)
    host, port = str(given["host"]), given.get("port") or 5432

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def pass_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(CONNECTING_S)
        if host.startswith("/"):
            door = asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            door = asyncio.open_connection(host, int(port))
        answers, questions = await door
        await asyncio.gather(pump(reader, questions), pump(answers, writer))

    def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.append(asyncio.create_task(pass_through(reader, writer)))

    passing: list[asyncio.Task[None]] = []
    async with await asyncio.start_unix_server(let_in, directory / f".s.PGSQL.{port}"):
        yield make_conninfo(conninfo, host=str(directory))
        await asyncio.gather(*passing)


async def test_connecting_does_not_count_as_the_time_of_the_answer(conninfo: str) -> None:
    with TemporaryDirectory() as name:
        async with slow_to_connect(conninfo, Path(name)) as slow:
            lease, began = a_lease(slow), boottime()

            answer = await lease.ask(a_request(), 10)
            await lease.aclose()

    assert answer.sent_at - began >= CONNECTING_S
    assert answer.sent_at <= answer.received_at <= boottime()
