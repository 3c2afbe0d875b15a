"""`uptimeo status`: who leads, and every monitor in every datacenter, now."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from uptimeo.cli.database import with_database
from uptimeo.cli.tables import states_table
from uptimeo.domain.text import one_line
from uptimeo.storage.database import Connection
from uptimeo.storage.reports import MonitorState, Reports, Watch

_BAD = ("down", "critical")


@click.command("status")
@click.option("--datacenter", type=int, metavar="ID", help="Only this datacenter.")
def status(*, datacenter: int | None) -> None:
    """Show who leads and who stands by, and the state of every monitor, worst first.

    Exit code 1 if a monitor is down or critical somewhere, or nobody leads, else 0.
    """

    async def read(connection: Connection) -> tuple[Sequence[Watch], Sequence[MonitorState]]:
        reports = Reports(connection)
        return await reports.watches(datacenter), await reports.states(datacenter)

    watches, states = with_database(read)
    console = Console()
    for watch in watches:
        console.print(_line(watch), soft_wrap=True)
    console.print(states_table(states, now=datetime.now(UTC)))
    bad = any(s.enabled and s.last is not None and s.last.status in _BAD for s in states)
    leaderless = any(watch.leader is None for watch in watches)
    click.get_current_context().exit(1 if bad or leaderless else 0)


def _line(watch: Watch) -> Text:
    line = Text.assemble((f"{watch.datacenter}  ", "bold"))
    if watch.leader is None:
        line.append(f"nobody leads (last term {watch.term})", "red")
    else:
        since = (
            "" if watch.since is None else f" since {watch.since.astimezone(UTC):%m-%d %H:%M:%S}Z"
        )
        line.append(f"{one_line(watch.leader, 50)} leads{since}, term {watch.term}")
    standbys = ", ".join(one_line(name, 50) for name in watch.standbys)
    line.append(f"; standing by: {standbys or 'nobody'}", "" if standbys else "yellow")
    return line
