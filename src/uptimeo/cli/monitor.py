"""`uptimeo monitor`: the config rows, from the command line."""

import json
from typing import Any

import click
from rich.console import Console

from uptimeo.catalog.rows import told_monitor
from uptimeo.cli.database import with_database
from uptimeo.cli.monitor_edit import add, edit
from uptimeo.cli.monitor_history import history
from uptimeo.cli.monitor_list import MonitorLine, monitors_table
from uptimeo.cli.monitor_show import InForce, sheet
from uptimeo.domain.errors import FatalError, InvalidMonitorError
from uptimeo.domain.monitor import Monitor
from uptimeo.domain.text import one_line
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.database import Connection
from uptimeo.storage.evidence import Evidence, last_failure
from uptimeo.storage.monitors import MonitorRow


@click.group("monitor")
def monitor() -> None:
    """Add, change, list, show, switch on and off, or remove monitors."""


monitor.add_command(add)
monitor.add_command(edit)
monitor.add_command(history)


@monitor.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def list_(*, as_json: bool) -> None:
    """List all monitors; those whose row cannot be used come with the reason."""
    registry = ProbeRegistry.installed()
    found = [
        MonitorLine(row=row, datacenters=codes, invalid=_read(row, registry)[1])
        for row, codes in with_database(edits.all_monitors)
    ]
    if as_json:
        click.echo(json.dumps([each.as_json() for each in found], indent=2))
    elif found:
        Console(highlight=False).print(monitors_table(found))
    else:
        click.echo("no monitors yet: `uptimeo monitor add URL` adds one")


@monitor.command("show")
@click.argument("id", type=int)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("--reveal", is_flag=True, help="With passwords, tokens and what steps send.")
def show(*, id: int, as_json: bool, reveal: bool) -> None:  # noqa: A002 - the name that --help shows
    """Show the monitor ID as it is in force, with its defaults and its last failure.

    Secrets are not shown, only where they are referred to.
    """

    async def work(connection: Connection) -> tuple[Any, Evidence | None]:
        return await edits.monitor_row(connection, id), await last_failure(connection, id)

    found, failure = with_database(work)
    if found is None:
        raise _unknown(id)
    row, codes = found
    read, reason = _read(row, ProbeRegistry.installed())
    in_force = InForce(
        row=row,
        datacenters=codes,
        monitor=read,
        invalid=reason,
        revealed=reveal,
        last_failure=failure,
    )
    if as_json:
        click.echo(json.dumps(in_force.as_json(), indent=2))
    else:
        Console(highlight=False).print(sheet(in_force))


@monitor.command("enable")
@click.argument("id", type=int)
def enable(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Check this monitor again."""
    _switch(id, enabled=True)


@monitor.command("disable")
@click.argument("id", type=int)
def disable(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Stop checking this monitor; its row and its heartbeats stay."""
    _switch(id, enabled=False)


@monitor.command("remove")
@click.argument("id", type=int)
def remove(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Delete this monitor's row; its heartbeats stay."""
    name = with_database(lambda connection: edits.remove_monitor(connection, id))
    click.echo(f"removed monitor {_known(id, name)}")


def _switch(key: int, *, enabled: bool) -> None:
    name = with_database(lambda c: edits.enable_monitor(c, key, enabled=enabled))
    click.echo(f"{'enabled' if enabled else 'disabled'} monitor {_known(key, name)}")


def _known(key: int, name: str | None) -> str:
    if name is None:
        raise _unknown(key)
    return f"{key}: {one_line(name, 100)}"


def _unknown(key: int) -> FatalError:
    return FatalError(f"there is no monitor {key}: `uptimeo monitor list` shows them")


def _read(row: MonitorRow, registry: ProbeRegistry) -> tuple[Monitor | None, str | None]:
    """The monitor of a row, or why it is none; neither if only an agent can tell."""
    try:
        return told_monitor(row, registry), None
    except InvalidMonitorError as error:
        return None, str(error)
