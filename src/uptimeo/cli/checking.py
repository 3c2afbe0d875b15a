"""How is one monitor checked here and now, as its agent would, without storing anything?"""

import io
import os
from collections.abc import Callable, Mapping

from uptimeo.catalog.rows import row_references, to_monitor
from uptimeo.cli.database import find_conninfo
from uptimeo.clock import ServerClock
from uptimeo.domain.check import Check
from uptimeo.domain.errors import FatalError, InvalidMonitorError
from uptimeo.domain.heartbeat import Heartbeat, Origin
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts, Shared
from uptimeo.probes.running.places import HostPlaces
from uptimeo.probes.running.references import References
from uptimeo.probes.running.runner import CheckRunner
from uptimeo.settings import (
    read_database,
    read_exec_file,
    read_guard,
    read_references,
    read_values,
)
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.database import borrowed, make_pool, startup_errors
from uptimeo.storage.schema import verify
from uptimeo.storage.secrets import sealed_secrets
from uptimeo.storage.signals import SignalStore
from uptimeo.telemetry import json_log

_NOBODY = Origin(datacenter_id=DatacenterId(0), agent_id=None, term=0, holder="")


async def check_url(make: Callable[[ProbeRegistry], Monitor]) -> Heartbeat:
    """Check a monitor that is in no database."""
    registry = ProbeRegistry.installed()
    try:
        shared = Shared(guard=read_guard(os.environ), exec_file=read_exec_file(os.environ))
        return await _check(make(registry), registry, shared)
    finally:
        await registry.aclose()


async def check_row(key: int) -> Heartbeat:
    """Check the monitor of that id as it stands in the database, also one that is switched off.

    Raises FatalError if there is none, or its row cannot be used.
    """
    registry = ProbeRegistry.installed()
    try:
        async with make_pool(find_conninfo(), size=1) as pool:
            async with borrowed(pool) as connection:
                with startup_errors():
                    await verify(connection)
                found = await edits.monitor_row(connection, key)
                if found is None:
                    text = f"there is no monitor {key}: `uptimeo monitor list` shows them"
                    raise FatalError(text)
                names = {each.name for each in row_references([found[0]])}
                sealed = await sealed_secrets(connection, names, _datacenter(os.environ))
            try:
                values = read_values(os.environ).read(row_references([found[0]]), sealed)
                monitor = to_monitor(found[0], registry, values)
            except InvalidMonitorError as error:
                raise FatalError(f"monitor {key} is not checked by anybody: {error}") from error
            shared = Shared(
                guard=read_guard(os.environ, _usual_guard()),
                exec_file=read_exec_file(os.environ),
                signals=SignalStore(pool),
            )
            return await _check(monitor, registry, shared)
    finally:
        await registry.aclose()


def _usual_guard() -> str:
    """What an agent has if nobody says anything: `uptimeo up` watches also its own host."""
    return "none" if read_database(os.environ) is None else "default"


def _datacenter(environment: Mapping[str, str]) -> DatacenterId | None:
    """Whose secrets are used; without one, those for all datacenters."""
    text = environment.get("DATACENTER_ID", "")
    return DatacenterId(int(text)) if text.isdecimal() else None


async def _check(monitor: Monitor, registry: ProbeRegistry, shared: Shared) -> Heartbeat:
    """The heartbeat that an agent would store, with all the tries that the monitor asks for."""
    made: list[Heartbeat] = []
    references = References(read_references(os.environ))
    clock, silence = ServerClock(), json_log(io.StringIO(), level="CRITICAL")
    runner = CheckRunner(
        attempts=Attempts(registry=registry, references=references, shared=shared, log=silence),
        places=HostPlaces(1),
        permit=lambda: _NOBODY,
        clock=clock,
        emit=made.append,
        log=silence,
    )
    await runner.run(Check(monitor=monitor, scheduled_at=clock.now(), origin=_NOBODY))
    return made[0]
