"""The agent: every part, how it is joined to the next, and in which order it stops.

`build` is the only place where one stage meets the next.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from uptimeo import __version__
from uptimeo.catalog.watcher import CatalogWatcher
from uptimeo.clock import ServerClock
from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.leader.election import Election
from uptimeo.leader.elector import Elector, LeaseTiming, OfflineMode
from uptimeo.leader.partitions import PartitionKeeper
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.runner import CheckRunner
from uptimeo.schedule.scheduler import Scheduler
from uptimeo.settings import Settings
from uptimeo.storage.database import Pool, connect, connection_string, make_pool
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.storage.lease import Lease
from uptimeo.storage.monitors import MonitorStore
from uptimeo.storage.places import datacenter_code, register_agent
from uptimeo.storage.schema import verify
from uptimeo.telemetry import Log

# What the end may take: checks in flight, the last batch. With the rest it is under two seconds.
_GRACE_S = 0.5
_LAST_SEND_S = 0.5
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What the database said about this agent at its start."""

    agent_id: int
    datacenter_code: str
    server_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The parts that run and have to be stopped."""

    pool: Pool
    registry: ProbeRegistry
    lease: Lease
    election: Election
    watcher: CatalogWatcher
    scheduler: Scheduler
    writer: HeartbeatWriter
    partitions: PartitionKeeper


def build(settings: Settings, conninfo: str, welcome: Welcome, log: Log) -> Agent:
    """Join the parts: rows -> monitors -> due checks -> results -> heartbeats -> PostgreSQL."""
    datacenter = DatacenterId(settings.datacenter_id)
    with _naming("UPTIMEO_LEASE_TTL_S"):
        timing = LeaseTiming(ttl=settings.lease_ttl_s)
    clock = ServerClock()
    registry = ProbeRegistry.installed()
    pool = make_pool(conninfo, size=4)
    store = HeartbeatStore(pool, datacenter)
    lease = Lease(conninfo, datacenter, settings.instance, timedelta(seconds=timing.ttl))
    elector = Elector(timing, OfflineMode(settings.offline), uuid4)
    election = Election(
        datacenter=datacenter,
        agent_id=welcome.agent_id,
        elector=elector,
        store=lease,
        clock=clock,
        log=log,
    )
    writer = HeartbeatWriter(spool=Spool(settings.data_dir / "spool"), sink=store, log=log)
    runner = CheckRunner(registry=registry, clock=clock, emit=writer.put, log=log)
    scheduler = Scheduler(
        datacenter=datacenter,
        runner=runner,
        permit=election.permit,
        clock=clock,
        max_running=settings.max_checks,
        log=log,
    )
    watcher = CatalogWatcher(
        datacenter=datacenter,
        source=MonitorStore(pool),
        registry=registry,
        apply=scheduler.replace,
        poll_s=settings.config_poll_s,
        log=log,
    )
    return Agent(
        pool=pool,
        registry=registry,
        lease=lease,
        election=election,
        watcher=watcher,
        scheduler=scheduler,
        writer=writer,
        partitions=PartitionKeeper(make=store.ensure_partitions, log=log),
    )


async def run_agent(settings: Settings, log_for: Callable[[str], Log]) -> None:
    """Run until SIGTERM or SIGINT, then stop in order. `log_for` takes the datacenter's code.

    Raises FatalError when the settings or the database make a start impossible. A database that
    is away is waited for. Any loop that dies of a bug ends the agent with its exception.
    """
    stop = _stop_on_signals()
    log = log_for("")
    with _naming("DB_CONN_STRING"):
        conninfo = connection_string(settings.db_conn_string, f"uptimeo {settings.instance}")
    welcome = await _unless(stop, _introduce(settings, conninfo, log))
    if welcome is None:
        return
    log = log_for(welcome.datacenter_code)
    agent = build(settings, conninfo, welcome, log)
    log.agent_started(__version__, welcome.server_version, settings.offline)
    await _run(agent, stop, log)


async def _run(agent: Agent, stop: "asyncio.Future[str]", log: Log) -> None:
    loops: dict[str, Awaitable[None]] = {
        "election": agent.election.run(),
        "catalog": agent.watcher.run(),
        "scheduler": agent.scheduler.run(),
        "spool": agent.writer.commit(),
        "sender": agent.writer.send(),
        "partitions": agent.partitions.run(),
    }
    async with AsyncExitStack() as closing:
        await agent.pool.open()
        closing.push_async_callback(agent.pool.close, timeout=0.2)
        closing.push_async_callback(agent.lease.aclose)
        closing.push_async_callback(agent.registry.aclose)
        closing.push_async_callback(agent.writer.aclose)
        tasks = {name: asyncio.ensure_future(loop) for name, loop in loops.items()}
        first: list[asyncio.Future[Any]] = [*tasks.values(), stop]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            log.agent_stopping(stop.result())
        for name, task in tasks.items():
            if task.done() and (error := task.exception()) is not None:
                log.task_failed(name, error)
        await _stop(agent, tasks, log)
        for task in tasks.values():
            if not task.cancelled():
                task.result()


async def _stop(agent: Agent, tasks: Mapping[str, "asyncio.Future[None]"], log: Log) -> None:
    """Order matters: no new check, finish those in flight, save, then let another agent lead."""
    for name in ("scheduler", "catalog", "partitions"):
        tasks[name].cancel()
    await agent.scheduler.stop(_GRACE_S)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    unsent = await agent.writer.finish(_LAST_SEND_S)
    await agent.election.stop()
    log.agent_stopped(unsent)


async def _introduce(settings: Settings, conninfo: str, log: Log) -> Welcome:
    """Wait for the database, check what it is, and register this agent with it."""
    retry_s = _FIRST_RETRY_S
    while True:
        try:
            with _naming("DB_CONN_STRING"):
                connection = await connect(conninfo)
            async with connection:
                await verify(connection)
                datacenter = DatacenterId(settings.datacenter_id)
                return Welcome(
                    datacenter_code=await datacenter_code(connection, datacenter),
                    agent_id=await register_agent(connection, settings.instance, datacenter),
                    server_version=connection.info.parameter_status("server_version") or "?",
                )
        except TransientError as error:
            log.database_waited_for(error, retry_s)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _LAST_RETRY_S)


@contextmanager
def _naming(variable: str) -> Iterator[None]:
    """Say which environment variable a FatalError is about."""
    try:
        yield
    except FatalError as error:
        raise FatalError(f"{variable}: {error}") from error


async def _unless(stop: "asyncio.Future[str]", work: Awaitable[Welcome]) -> Welcome | None:
    """The result of the work, or None if the stop came first."""
    working = asyncio.ensure_future(work)
    first: list[asyncio.Future[Any]] = [working, stop]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return None


def _stop_on_signals() -> "asyncio.Future[str]":
    """The name of the first SIGTERM or SIGINT, when it comes; a second one ends the process."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def first(number: signal.Signals) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop.set_result(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
    return stop
