"""`uptimeo agent`: the production form, JSON lines only."""

import asyncio
import os
import sys
from functools import partial
from typing import TextIO

import click

from uptimeo.agent import run_agent
from uptimeo.domain.errors import FatalError
from uptimeo.service_manager import ServiceManager
from uptimeo.settings import Settings, read_settings
from uptimeo.telemetry import HeartbeatLog, Log, json_log, silence_libraries


@click.command("agent")
def agent() -> None:
    """Run the checks of one datacenter, or stand by for the agent that does.

    \b
    DB_CONN_STRING     PostgreSQL 17 or newer, as a libpq URI      (required;
                       or DB_CONN_STRING_FILE, a file that holds it)
    DATACENTER_ID      the id of the datacenter to run for         (required)
    UPTIMEO_DATA_DIR   where heartbeats wait on disk, one for each agent
    UPTIMEO_INSTANCE   the name of this agent          (default: the host's)
    LOG_LEVEL          DEBUG, INFO, WARNING or ERROR         (default: INFO)
    LOG_HEARTBEATS     all, changes or none                   (default: all)
    UPTIMEO_OFFLINE    continue or strict, without a database
                                                         (default: continue)

    Logs are JSON lines on stdout. SIGTERM and SIGINT stop it in order within two seconds, a
    second one at once. Exit code 2: something has to be corrected first; the last line says what.
    """
    silence_libraries()
    refusals = json_log(sys.stdout, level="INFO")
    try:
        settings = read_settings(os.environ)
        manager = ServiceManager.of(os.environ, os.getpid())
        log_for = partial(agent_log, settings, stream=sys.stdout)
        asyncio.run(run_agent(settings, log_for, manager))
    except FatalError as error:
        refusals.start_refused(" ".join(str(error).split()))
        sys.exit(2)


def agent_log(settings: Settings, datacenter: str, stream: TextIO) -> Log:
    """The log of an agent: JSON lines that say whose they are."""
    return json_log(
        stream,
        level=settings.log_level,
        heartbeats=HeartbeatLog(settings.log_heartbeats),
        datacenter=datacenter or str(settings.datacenter_id),
        instance=settings.instance,
    )
