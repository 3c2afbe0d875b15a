"""What does an agent know about itself before it begins? From the database, or from its disk."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook
from uptimeo.leader.elector import OfflineMode
from uptimeo.leader.memory import Leadership, LeadershipMemory, PeerMemory
from uptimeo.settings import Settings
from uptimeo.storage.database import (
    Connection,
    connect,
    local_address,
    startup_errors,
)
from uptimeo.storage.instances import peer_book
from uptimeo.storage.partitions import ensure, without_today
from uptimeo.storage.places import datacenter_code, register_agent
from uptimeo.storage.schema import verify
from uptimeo.telemetry import Log

_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Who this agent is; `resumed` is the term that it goes on with, without a database.

    `host` is the address of this host that faces the database, `peers` who else was there.
    """

    agent_id: int
    datacenter_code: str
    server_version: str | None = None
    resumed: Leadership | None = None
    host: str | None = None
    peers: PeerBook | None = None


async def introduce(settings: Settings, conninfo: str, log: Log) -> Welcome:
    """Check what the database is and register this agent with it; wait for it if it is away.

    An agent that led at the end of its last run does not wait: it resumes that term.
    Raises FatalError for what waiting cannot mend.
    """
    retry_s = _FIRST_RETRY_S
    while True:
        try:
            with naming(settings.database_variable):
                connection = await connect(conninfo)
            async with connection:
                with startup_errors():
                    welcome = await _register(connection, settings)
                    await _prepare_today(connection, log)
                    return welcome
        except TransientError as error:
            if (resumed := _resumable(settings)) is not None:
                return _from_disk(settings, resumed)
            log.database_waited_for(error, retry_s)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _LAST_RETRY_S)


def confirmed_ago_s(leadership: Leadership) -> float:
    """Seconds since the database last confirmed the term, by the host's own clock."""
    return max(0.0, time.time() - leadership.confirmed_at.timestamp())


async def _register(connection: Connection, settings: Settings) -> Welcome:
    await verify(connection)
    datacenter = DatacenterId(settings.datacenter_id)
    code = await datacenter_code(connection, datacenter)
    agent_id = await register_agent(connection, settings.instance, datacenter)
    return Welcome(
        datacenter_code=code,
        agent_id=agent_id,
        server_version=connection.info.parameter_status("server_version") or "?",
        host=local_address(connection),
        peers=await peer_book(connection, datacenter, agent_id),
    )


def _from_disk(settings: Settings, resumed: Leadership) -> Welcome:
    host, peers = PeerMemory(settings.data_dir).recall() or (None, None)
    return Welcome(
        agent_id=resumed.agent_id,
        datacenter_code=resumed.datacenter_code,
        resumed=resumed,
        host=host,
        peers=peers,
    )


async def _prepare_today(connection: Connection, log: Log) -> None:
    """Before any check, for its heartbeat must find its day; what else is missing is a chore."""
    for parent in await without_today(connection):
        if made := await ensure(connection, parent):
            log.partitions_made(made)


def _resumable(settings: Settings) -> Leadership | None:
    if OfflineMode(settings.offline) is not OfflineMode.CONTINUE:
        return None
    memory = LeadershipMemory(settings.data_dir)
    found = memory.recall(DatacenterId(settings.datacenter_id))
    if found is None or confirmed_ago_s(found) >= settings.offline_limit_s:
        return None
    # Killed while the database answered, it has lost the lease after a TTL: another may lead.
    return found if found.offline or confirmed_ago_s(found) < settings.lease_ttl_s else None


@contextmanager
def naming(variable: str) -> Iterator[None]:
    """Say which environment variable a FatalError is about."""
    try:
        yield
    except FatalError as error:
        raise FatalError(f"{variable}: {error}") from error
