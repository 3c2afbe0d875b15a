"""`uptimeo up`: everything on one machine, with a live view."""

import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live

from uptimeo.agent import run_agent
from uptimeo.cli.agent import agent_log
from uptimeo.cli.demo import install
from uptimeo.cli.tables import states_table
from uptimeo.cli.up_receiver import Beside, listening
from uptimeo.demo.monitors import DemoTarget, demo_monitors
from uptimeo.demo.process import DemoProcess
from uptimeo.domain.errors import UptimeoError
from uptimeo.settings import Settings, default_data_dir, read_database, read_settings
from uptimeo.storage import schema
from uptimeo.storage.database import connect, connection_string
from uptimeo.storage.local import LocalServer
from uptimeo.storage.monitor_edits import disable_named
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.storage.reports import Reports
from uptimeo.telemetry import silence_libraries

_DEMO_PREFIX = "demo: "
_REDRAW_S = 0.5
# Everything on one machine: what is watched may well be on it too, as the demo's target is.
_DEFAULTS = {"DATACENTER_ID": "1", "UPTIMEO_FORBIDDEN_NETWORKS": "none"}


@click.command("up")
@click.option("--demo", is_flag=True, help="Also start a local target and monitors that watch it.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is kept  [default: UPTIMEO_DATA_DIR, or the user's data directory]",
)
def up(*, demo: bool, data_dir: Path | None) -> None:
    """Run everything on this machine: PostgreSQL, the schema, one agent, and a receiver.

    With DB_CONN_STRING that database is used instead of one of its own; a receiver, for the
    signals of jobs, then needs UPTIMEO_RECEIVE_ADDRESS. DATACENTER_ID is 1 unless set. On a
    terminal a live table shows every monitor and the log goes to uptimeo.log in the data
    directory; otherwise the log, JSON lines, goes to stdout. Ctrl+C ends it all.
    """
    silence_libraries()
    directory = (data_dir or default_data_dir(os.environ)).expanduser().absolute()
    environment = {**_DEFAULTS, **os.environ, "UPTIMEO_DATA_DIR": str(directory)}
    live = sys.stdout.isatty()
    if live:
        environment.setdefault("LOG_HEARTBEATS", "changes")
    with suppress(KeyboardInterrupt), ExitStack() as closing:
        alone = read_database(environment) is None
        if alone:
            server = LocalServer(directory)
            closing.callback(server.stop)
            server.start()
            environment["DB_CONN_STRING"] = server.conninfo
            click.echo(f"PostgreSQL is ready: {server.psql}", err=True)
        settings = read_settings(environment)
        schema.migrate(settings.db_conn_string)
        receiver = listening(environment, closing.enter_context, alone=alone)
        log, console = sys.stdout, None
        if live:
            log, console = _open_log(closing, directory / "uptimeo.log"), Console()
        asyncio.run(_run(settings, receiver, demo=demo, log=log, console=console))


def _open_log(closing: ExitStack, path: Path) -> TextIO:
    click.echo(f"The log goes to {path}", err=True)
    return closing.enter_context(path.open("a", encoding="utf-8", buffering=1))


async def _run(
    settings: Settings,
    receiver: socket.socket | None,
    *,
    demo: bool,
    log: TextIO,
    console: Console | None,
) -> None:
    async with AsyncExitStack() as closing:
        target = None
        if demo:
            process = await DemoProcess.start()
            closing.push_async_callback(process.stop)
            target = process.target
        await _fill(settings.db_conn_string, target)
        if console is not None:
            view = asyncio.create_task(_view(settings, console), name="view")
            closing.push_async_callback(_end, view)
        if receiver is not None:
            beside = Beside(receiver, settings.db_conn_string, agent_log(settings, "", log))
            closing.push_async_callback(beside.aclose)
        await run_agent(settings, lambda code: agent_log(settings, code, log))


async def _fill(conninfo: str, target: DemoTarget | None) -> None:
    """Make sure of datacenters; install the demo's monitors, or switch off those of an old one."""
    async with await connect(conninfo) as connection:
        await add_sample_datacenters(connection)
        if target is None:
            await disable_named(connection, _DEMO_PREFIX)
            return
        await install(connection, demo_monitors(target))


async def _view(settings: Settings, console: Console) -> None:
    """Draw the live table until cancelled; a database that is away leaves the last picture."""
    conninfo = connection_string(settings.db_conn_string, "uptimeo view")
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            with suppress(UptimeoError):
                async with await connect(conninfo) as connection:
                    await _draw(live, Reports(connection), settings.datacenter_id, console)
            await asyncio.sleep(_REDRAW_S)


async def _draw(live: Live, reports: Reports, datacenter: int, console: Console) -> None:
    while True:
        states = [s for s in await reports.states(datacenter) if s.enabled]
        picture = states_table(states, now=datetime.now(UTC), max_rows=console.height - 2)
        # Two columns less: the terminal's echo of Ctrl+C must not wrap the last line.
        live.update(Constrain(picture, console.width - 2), refresh=True)
        await asyncio.sleep(_REDRAW_S)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
