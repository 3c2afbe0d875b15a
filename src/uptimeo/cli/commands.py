"""Which commands are there, and what does the shell get when one fails?

Exit codes: 0 done, 1 the answer is bad news or the database is away, 2 wrong input.
"""

import os
import sys

import click

from uptimeo import __version__
from uptimeo.cli.agent import agent
from uptimeo.cli.calibrate import calibrate
from uptimeo.cli.check import check
from uptimeo.cli.db import db
from uptimeo.cli.demo import demo
from uptimeo.cli.doctor import doctor
from uptimeo.cli.heartbeats import heartbeats
from uptimeo.cli.migrate import migrate
from uptimeo.cli.monitor import monitor
from uptimeo.cli.probe_types import probe_types
from uptimeo.cli.receive import receive
from uptimeo.cli.report import report
from uptimeo.cli.retention import retention
from uptimeo.cli.secret import secret
from uptimeo.cli.status import status
from uptimeo.cli.up import up
from uptimeo.domain.errors import FatalError, UptimeoError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(__version__, message="uptimeo %(version)s")
@click.pass_context
def uptimeo(context: click.Context) -> None:
    """Watch endpoints from many datacenters and keep what was seen in PostgreSQL.

    \b
    Try it:      uptimeo up --demo
    One check:   uptimeo check https://example.org
    Production:  DB_CONN_STRING=postgresql://... DATACENTER_ID=1 uptimeo agent

    Commands that need a database use DB_CONN_STRING, or DB_CONN_STRING_FILE, a file that holds
    it; without them the server of a running `uptimeo up`.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    up,
    agent,
    check,
    calibrate,
    monitor,
    probe_types,
    secret,
    heartbeats,
    status,
    report,
    doctor,
    migrate,
    retention,
    db,
    demo,
    receive,
):
    uptimeo.add_command(command)


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    try:
        code = uptimeo.main(standalone_mode=False)
    except click.ClickException as error:
        code = _complain(error.format_message(), 2)
    except FatalError as error:
        code = _complain(str(error), 2)
    except UptimeoError as error:
        code = _complain(str(error), 1)
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone, as in `uptimeo heartbeats | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    click.echo(f"uptimeo: {' '.join(message.split())}", err=True)
    return code
