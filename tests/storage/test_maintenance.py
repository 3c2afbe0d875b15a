"""One agent of the whole installation maintains it, and another one after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from tests.support.fakes import LogBook
from uptimeo.clock import ServerClock
from uptimeo.domain.lease import LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.leader.election import Election
from uptimeo.leader.elector import Elector, LeaseTiming, OfflineMode
from uptimeo.leader.maintenance import MAINTENANCE_TIMING, Chore, Maintenance
from uptimeo.leader.news import maintenance_news
from uptimeo.storage import health
from uptimeo.storage.database import Connection, Pool, make_pool, one
from uptimeo.storage.lease import MAINTENANCE, Lease, MaintenanceLease
from uptimeo.storage.places import register_agent
from uptimeo.storage.reports import Reports
from uptimeo.tasks import cancel_all

# Seconds instead of half minutes; the rules are the same.
QUICK = LeaseTiming(ttl=3.0, renew=0.5, poll=0.25, call=1.0, margin=0.5)
_TERMS = "SELECT term, holder_name FROM agent_terms WHERE datacenter_id = 0 ORDER BY term"


class Maintainer:
    """The part of an agent that maintains; its one chore says that it was begun."""

    def __init__(self, conninfo: str, pool: Pool, name: str) -> None:
        self.book = LogBook()
        self.works = asyncio.Event()
        self.election = Election(
            datacenter=MAINTENANCE,
            agent_id=1,
            elector=Elector(QUICK, OfflineMode.STRICT, uuid4),
            store=MaintenanceLease(pool, name, timedelta(seconds=QUICK.ttl)),
            clock=ServerClock(),
            tell=maintenance_news(self.book.log),
        )
        chore = Chore(name="chore", every_s=0.1, run=self._work)
        maintenance = Maintenance(tenure=self.election, chores=[chore], log=self.book.log)
        self._tasks = [
            asyncio.create_task(self.election.run()),
            asyncio.create_task(maintenance.run()),
        ]

    async def killed(self) -> None:
        """It is gone without giving anything back."""
        await cancel_all(self._tasks, 5)

    async def stopped(self) -> None:
        await self.killed()
        await self.election.stop()

    async def _work(self) -> None:
        self.works.set()


@asynccontextmanager
async def maintainers(conninfo: str, *agents: str) -> AsyncIterator[list[Maintainer]]:
    async with AsyncExitStack() as stack:
        started = []
        for name in agents:
            pool = await stack.enter_async_context(make_pool(conninfo, size=2))
            started.append(Maintainer(conninfo, pool, name))
            stack.push_async_callback(started[-1].killed)
        yield started


async def test_one_maintains_and_the_other_takes_over_when_it_is_killed(
    conninfo: str, connection: Connection
) -> None:
    async with asyncio.timeout(60), maintainers(conninfo, "a", "b") as both:
        works = [asyncio.create_task(each.works.wait()) for each in both]
        await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        first, second = both if both[0].works.is_set() else reversed(both)
        alone = not second.works.is_set()
        await first.killed()
        await second.works.wait()

    cursor = await connection.execute(_TERMS)
    assert alone
    assert len(await cursor.fetchall()) == 2
    assert first.book.events() == second.book.events() == ["maintenance_taken"]


async def test_one_that_is_stopped_leaves_maintenance_to_the_next_without_a_wait(
    conninfo: str, connection: Connection
) -> None:
    async with asyncio.timeout(60), maintainers(conninfo, "a") as (first,):
        await first.works.wait()
        await first.stopped()
        free = await one(connection, "SELECT holder IS NULL FROM agent_leases")
        async with maintainers(conninfo, "b") as (second,):
            await second.works.wait()

    assert free is True
    assert first.book.events() == ["maintenance_taken", "maintenance_left"]


async def test_who_maintains_is_shown_as_no_datacenter(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await register_agent(connection, "a", DatacenterId(1))
    lease = MaintenanceLease(pool, "a", timedelta(seconds=30))
    request = LeaseRequest(candidate=uuid4(), seen_term=0, seen_seq=0, may_steal=False)

    held = await lease.ask(request, 5)

    assert held.held
    assert await Reports(connection).watches() == []
    assert await Reports(connection).states() == []
    assert await one(connection, "SELECT count(*) FROM leadership") == 0
    (lease_row,) = await health.leaders(connection)
    assert (lease_row.datacenter_id, lease_row.leader) == (0, "a")


async def test_the_lease_of_maintenance_and_those_of_datacenters_do_not_touch(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    request = LeaseRequest(candidate=uuid4(), seen_term=0, seen_seq=0, may_steal=False)
    checks = Lease(conninfo, DatacenterId(1), "checks", timedelta(seconds=30))
    upkeep = MaintenanceLease(pool, "upkeep", timedelta(seconds=MAINTENANCE_TIMING.ttl))

    answers = [await checks.ask(request, 5), await upkeep.ask(request, 5)]
    await upkeep.release(request.candidate, 1, 5)

    assert [(answer.held, answer.term) for answer in answers] == [(True, 1), (True, 1)]
    still = "SELECT holder_name FROM agent_leases WHERE holder IS NOT NULL"
    assert await one(connection, still) == "checks"
    await checks.aclose()
