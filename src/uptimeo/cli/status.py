"""`uptimeo status`: every monitor in every datacenter, now."""

from datetime import UTC, datetime

import click
from rich.console import Console

from uptimeo.cli.database import with_database
from uptimeo.cli.tables import states_table
from uptimeo.storage.reports import Reports


@click.command("status")
@click.option("--datacenter", type=int, metavar="ID", help="Only this datacenter.")
def status(*, datacenter: int | None) -> None:
    """Show the state of every monitor, worst first.

    Exit code 1 if a monitor is down or critical somewhere, else 0.
    """
    states = with_database(lambda connection: Reports(connection).states(datacenter))
    Console().print(states_table(states, now=datetime.now(UTC)))
    bad = any(s.enabled and s.last is not None and s.last.status in _BAD for s in states)
    click.get_current_context().exit(1 if bad else 0)


_BAD = ("down", "critical")
