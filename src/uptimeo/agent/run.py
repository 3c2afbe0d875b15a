"""How is an agent run, and in which order does it stop?"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from uptimeo import __version__
from uptimeo.agent.build import Agent, build
from uptimeo.agent.operate import Vitals, operate, vitals_of
from uptimeo.agent.start import Welcome, introduce, naming
from uptimeo.agent.supervision import WAITING, condition
from uptimeo.catalog.sealing import KeyRing
from uptimeo.service_manager import ServiceManager
from uptimeo.settings import Settings
from uptimeo.storage.database import connection_string
from uptimeo.tasks import cancel_all
from uptimeo.telemetry import Log

# What the end may take: checks in flight, the last batch, the farewell (beside it, as long, the
# lease is given back). With the rest it is under two seconds, also while the database hangs.
_GRACE_S = 0.5
_LAST_SEND_S = 0.4
_FAREWELL_S = 0.4
_PATIENCE_S = 0.5


async def run_agent(
    settings: Settings, log_for: Callable[[str], Log], manager: ServiceManager | None = None
) -> None:
    """Run until SIGTERM or SIGINT, then stop in order. `log_for` takes the datacenter's code.

    The service manager, if there is one, is told how the agent is.

    Raises FatalError when the settings or the database make a start impossible. A database that
    is away is waited for. Any loop that dies of a bug ends the agent with its exception.
    """
    stop = _stop_on_signals()
    log = log_for("")
    if manager is not None:
        stop.add_done_callback(lambda _: manager.stopping())
        manager.starting(WAITING)
    if settings.key_file is not None:
        KeyRing.read(settings.key_file)  # a file that cannot be used is a mistake, said at once
    with naming(settings.database_variable):
        conninfo = connection_string(settings.db_conn_string, f"uptimeo {settings.instance}")
    welcome = await _unless(stop, introduce(settings, conninfo, log))
    if welcome is None:
        return
    log = log_for(welcome.datacenter_code)
    agent = build(settings, conninfo, welcome, log)
    log.agent_started(__version__, welcome.server_version, settings.offline)
    vitals = vitals_of(settings, agent)
    operation = operate(settings, agent, vitals, log)
    beside = {} if operation is None else operation.loops()
    if manager is not None:
        beside["supervision"] = manager.keep_informed(lambda: condition(vitals.facts(), welcome))
    await _run(vitals, beside, stop, log)


async def _run(
    vitals: Vitals, beside: Mapping[str, Awaitable[None]], stop: "asyncio.Future[str]", log: Log
) -> None:
    agent = vitals.agent
    loops: dict[str, Awaitable[None]] = {
        "election": agent.election.run(),
        "peers": agent.peers.run(),
        "catalog": agent.watcher.run(),
        "scheduler": agent.scheduler.run(),
        "spool": agent.writer.commit(),
        "sender": agent.writer.send(),
        "maintenance_election": agent.upkeep.election.run(),
        "maintenance": agent.upkeep.maintenance.run(),
        "succession": agent.succession.run(),
        "presence": agent.presence.run(),
        "references": agent.references.run(),
        "loop_lag": agent.attempts.lag.run(),
    }
    async with AsyncExitStack() as closing:
        await agent.pool.open()
        closing.push_async_callback(agent.pool.close, timeout=0.1)
        closing.push_async_callback(agent.lease.aclose)
        await agent.peers.open()
        closing.push_async_callback(agent.peers.aclose)
        closing.push_async_callback(agent.notices.aclose)
        closing.push_async_callback(agent.registry.aclose)
        closing.push_async_callback(agent.writer.aclose)
        _spare_the_collector()
        tasks = {name: asyncio.ensure_future(each) for name, each in {**loops, **beside}.items()}
        vitals.loops = {name: tasks[name] for name in loops}
        first: list[asyncio.Future[Any]] = [*tasks.values(), stop]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            log.agent_stopping(stop.result())
        for name, task in tasks.items():
            if task.done() and (error := task.exception()) is not None:
                log.task_failed(name, error)
        await _stop(agent, tasks, log)
        for task in tasks.values():
            if task.done() and not task.cancelled():
                task.result()


def _spare_the_collector() -> None:
    """What is there by now stays: to look through it again and again takes 50 ms each time."""
    gc.collect()
    gc.freeze()


async def _stop(agent: Agent, tasks: Mapping[str, "asyncio.Future[None]"], log: Log) -> None:
    """Order matters: no new check, finish those in flight, save, then let another agent lead."""
    await cancel_all([tasks["scheduler"]], _PATIENCE_S)
    await agent.scheduler.stop(_GRACE_S)
    await cancel_all(tasks.values(), _PATIENCE_S)
    unsent = await agent.writer.finish(_LAST_SEND_S)
    # Together: each of them waits in vain for a database that hangs.
    await asyncio.gather(
        _hand_over(agent), agent.upkeep.election.stop(), agent.presence.stop(_FAREWELL_S)
    )
    log.agent_stopped(unsent)


async def _hand_over(agent: Agent) -> None:
    if await agent.election.stop():
        await agent.succession.stop()  # otherwise a restart without a database may resume the term


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
