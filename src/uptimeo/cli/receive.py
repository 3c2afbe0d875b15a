"""`uptimeo receive`: takes the signals of jobs, JSON lines only."""

import asyncio
import os
import sys

import click

from uptimeo.cli.database import find_conninfo
from uptimeo.domain.errors import FatalError
from uptimeo.receiver import run_receiver
from uptimeo.receiver.settings import read_receiver_settings
from uptimeo.service_manager import ServiceManager
from uptimeo.telemetry import json_log, silence_libraries


@click.command("receive")
def receive() -> None:
    """Take the signals of jobs for push monitors, over HTTP.

    \b
    /ping/TOKEN           the job ran
    /ping/TOKEN/start     it begins: the end tells how long it took
    /ping/TOKEN/fail      it failed
    /ping/TOKEN/STATUS    it ended with that exit status; 0 is good

    \b
    DB_CONN_STRING            PostgreSQL 17 or newer, as a libpq URI
    DB_CONN_STRING_FILE       or a file that holds it
    UPTIMEO_RECEIVE_ADDRESS   where to listen      (default: 127.0.0.1:8025)
    UPTIMEO_RECEIVE_URL       how jobs reach it, for `uptimeo monitor add push`

    GET, HEAD or POST; the beginning of a body is kept. The answer is 200 only once the signal is
    stored; call again after 503 or 429, as curl does with --retry. Several may run beside each
    other. To be reached from elsewhere, put a proxy with TLS before it. SIGTERM ends it.
    """
    silence_libraries()
    log = json_log(sys.stdout, level="INFO")
    try:
        settings = read_receiver_settings(os.environ)
        manager = ServiceManager.of(os.environ, os.getpid())
        asyncio.run(run_receiver(settings, find_conninfo(), log, manager))
    except FatalError as error:
        log.start_refused(" ".join(str(error).split()))
        sys.exit(2)
