"""`uptimeo retention`: for how long is what kept, and how much is that?"""

from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from uptimeo.cli.database import with_database
from uptimeo.domain.partition import Hold, PartitionState
from uptimeo.domain.text import one_line
from uptimeo.storage import partitions
from uptimeo.storage.database import Connection

_FOREVER = "forever"
_MOST = 36_500


@click.group("retention", invoke_without_command=True)
@click.pass_context
def retention(context: click.Context) -> None:
    """Show or change for how long the installation keeps each kind of row.

    Whole partitions are dropped once all their rows are that old; without a command: show.
    """
    if context.invoked_subcommand is None:
        context.invoke(show)


@retention.command("show")
def show() -> None:
    """Show each table: how long it is kept, from when to when it reaches, its size."""
    states, hold = with_database(_found)
    Console().print(_table(states))
    if hold is not None:
        click.echo(f"\nNothing is dropped: {_why(hold)}")


@retention.command("set")
@click.argument("table")
@click.argument("days")
def set_(table: str, days: str) -> None:
    """Keep TABLE for DAYS days (or `forever`) from now on.

    What is older is dropped within the hour, and cannot be had again. No table is kept for less
    than its floor, or for less than the finer one that it sums up.
    """
    wanted = _days(days)
    with_database(lambda connection: partitions.keep(connection, table, wanted))
    click.echo(f"{table} is kept {_kept(wanted)}")


@retention.command("confirm")
@click.argument("today", type=click.DateTime(["%Y-%m-%d"]))
def confirm(today: datetime) -> None:
    """Say that today is TODAY (UTC, as 2026-01-31), so that what is too old is dropped again.

    For a database whose clock is right, and far ahead of what UptimeO saw pass. It is refused if
    the clock says another day.
    """
    with_database(lambda connection: partitions.confirm(connection, today.date()))
    click.echo("the database's clock is believed: what is too old is dropped within the hour")


async def _found(connection: Connection) -> tuple[list[PartitionState], Hold | None]:
    return await partitions.states(connection), await partitions.held(connection)


def _why(hold: Hold) -> str:
    clock, believed = (
        f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z" for moment in (hold.clock_at, hold.believed_at)
    )
    end = (
        "Nothing will be until somebody confirms it"
        if hold.still is None
        else f"It is believed by itself in {hold.still.total_seconds() / 3600:.0f} hours"
    )
    return (
        f"the database's clock said {clock}, and {believed} was the last time that was believed."
        f" {end}. Is it wrong: put it right. Is it right: `uptimeo retention confirm TODAY`."
    )


def _days(text: str) -> int | None:
    if text == _FOREVER:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise click.BadParameter(
            f"{text!r} is not a number of days from 1 to {_MOST}, or {_FOREVER}"
        )
    return int(text)


def _kept(days: int | None) -> str:
    return "for ever" if days is None else f"for {days} days"


def _table(states: list[PartitionState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("table", "kept", "at least", "first day"):
        table.add_column(heading, no_wrap=True)
    for heading in ("ahead", "rows", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for state in states:
        table.add_row(
            one_line(state.parent, 63),
            _kept(state.keep_days),
            f"{state.keep_at_least} days",
            str(state.first_day or "-"),
            f"{max(0, state.days_ahead)} days",
            f"{state.rows_estimate:,}",
            f"{state.bytes / 1e6:,.1f}",
        )
    return table
