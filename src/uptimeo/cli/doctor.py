"""`uptimeo doctor`: what is wrong with this installation, and what to do about it?"""

import click
from rich.console import Console
from rich.text import Text

from uptimeo.cli.database import find_conninfo, with_database
from uptimeo.cli.palette import Pen
from uptimeo.domain.text import one_line
from uptimeo.storage import health
from uptimeo.storage.database import shown
from uptimeo.storage.health import Finding


@click.command("doctor")
def doctor() -> None:
    """Examine the database side of an installation and say what to do.

    Exit code 1 if something needs attention, else 0.
    """
    conninfo = find_conninfo()
    findings = with_database(lambda connection: health.examine(connection, conninfo))
    console = Console()
    pen = Pen(ascii_only=console.options.ascii_only)
    console.print(Text(shown(conninfo), "bold"))
    for finding in findings:
        console.print(_line(finding, pen), soft_wrap=True)
    click.get_current_context().exit(0 if all(f.good for f in findings) else 1)


def _line(finding: Finding, pen: Pen) -> Text:
    state = "up" if finding.good else "down"
    style = "green" if finding.good else "red"
    line = Text.assemble((f"{pen.mark(state)} ", style), (one_line(finding.subject, 120), "bold"))
    line.append(f"  {one_line(finding.text, 400)}")
    if finding.advice:
        line.append(f"\n    {finding.advice}", "dim")
    return line
