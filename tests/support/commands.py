"""How is a command of ours run within a test, against a database?"""

import json
from typing import Any

import click
from click.testing import CliRunner, Result


def ran(
    command: click.Command,
    *arguments: str,
    dsn: str = "",
    stdin: str | None = None,
    **environment: str,
) -> Result:
    """The command as in a pipe of 80 columns, with this database and no other."""
    given = {"COLUMNS": "80", "FORCE_COLOR": None, "TTY_COMPATIBLE": None}
    runner = CliRunner(env=given | {"DB_CONN_STRING": dsn} | environment)
    return runner.invoke(command, arguments, input=stdin)


def said(command: click.Command, *arguments: str, dsn: str = "", **environment: str) -> str:
    """What a command printed that had to succeed."""
    result = ran(command, *arguments, dsn=dsn, **environment)
    assert result.exit_code == 0, result.output or result.exception
    return result.stdout


def said_json(command: click.Command, *arguments: str, dsn: str = "") -> Any:
    """The JSON that it printed."""
    return json.loads(said(command, *arguments, "--json", dsn=dsn))
