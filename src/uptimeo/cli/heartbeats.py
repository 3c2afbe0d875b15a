"""`uptimeo heartbeats`: the latest rows of api_heartbeats."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console

from uptimeo.cli.database import database, with_database
from uptimeo.cli.tables import heartbeat_line, heartbeats_table
from uptimeo.storage.database import Connection
from uptimeo.storage.reports import Reports, StoredHeartbeat

# A heartbeat may be committed this much after a later one; the window is read again each time.
_WINDOW = timedelta(seconds=30)
_EVERY_S = 0.5


@click.command("heartbeats")
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("-m", "--monitor", type=int, metavar="ID", help="Only this monitor.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new one until Ctrl+C.")
def heartbeats(*, limit: int, monitor: int | None, follow: bool) -> None:
    """Show the latest heartbeats, newest first; with --follow, as they come."""
    console = Console()
    if follow:
        with suppress(KeyboardInterrupt):
            asyncio.run(_follow(console, limit, monitor))
        return
    rows = with_database(lambda connection: Reports(connection).latest(limit, monitor))
    console.print(heartbeats_table(rows))


async def _follow(console: Console, limit: int, monitor: int | None) -> None:
    async with database() as connection:
        latest = await Reports(connection).latest(limit, monitor)
        for row in reversed(latest):
            _print(console, row)
        newest = latest[0].executed_at if latest else datetime.now(UTC)
        known = await Reports(connection).since(newest - _WINDOW, [], monitor)
        seen = {row.id: row.executed_at for row in known if row.executed_at <= newest}
        while True:
            await asyncio.sleep(_EVERY_S)
            await _print_new(console, connection, seen, monitor)


def _print(console: Console, row: StoredHeartbeat) -> None:
    line = heartbeat_line(row, ascii_only=console.options.ascii_only)
    console.print(line, soft_wrap=True)


async def _print_new(
    console: Console,
    connection: Connection,
    seen: dict[int, datetime],
    monitor: int | None,
) -> None:
    since = max(seen.values(), default=datetime.now(UTC)) - _WINDOW
    for key in [key for key, executed in seen.items() if executed < since]:
        del seen[key]
    for row in await Reports(connection).since(since, list(seen), monitor):
        seen[row.id] = row.executed_at
        _print(console, row)
