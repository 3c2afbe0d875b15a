"""`uptimeo db`: what the owner of a database does to it. `roles`: who may do what there?"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from secrets import token_urlsafe

import click

from uptimeo.cli.database import database
from uptimeo.domain.errors import FatalError
from uptimeo.files import replace_file
from uptimeo.storage import roles as store

_PASSWORD_BYTES = 32


@click.group("db")
def db() -> None:
    """Prepare a database for others than its owner."""


@db.command("roles")
@click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
@click.option(
    "--passwords",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Set passwords of logins from files in DIR, one a role; those missing are made.",
)
@click.option("--prefix", help="What the names begin with; `uptimeo` if not said before.")
def roles(*, dry_run: bool, directory: Path | None, prefix: str | None) -> None:
    """Make a role for the agents of each datacenter, and groups for people, with their rights.

    Run it as the owner of the tables with CREATEROLE, or as a superuser, again after a datacenter
    was added. Without --passwords no password is touched: log in with certificates or `peer`.
    """
    asyncio.run(_roles(dry_run=dry_run, directory=directory, prefix=prefix))


async def _roles(*, dry_run: bool, directory: Path | None, prefix: str | None) -> None:
    async with database() as connection:
        planned = await store.plan(connection, prefix)
        if dry_run:
            for statement in planned.statements:
                click.echo(f"{statement.rstrip().removesuffix(';')};")
            return
        passwords = {} if directory is None else _passwords(directory, planned.logins)
        await store.carry_out(connection, planned, passwords)
    for role in planned.roles:
        click.echo(_told(role, directory))


def _told(role: store.Role, directory: Path | None) -> str:
    done = "is up to date" if role.exists else "was made"
    if role.datacenter is None:
        return f"{role.name} {done}: a group, to be granted to logins"
    password = "" if directory is None else f", its password is in {directory / role.name}"
    return f"{role.name} {done}: the login of agents of datacenter {role.datacenter}{password}"


def _passwords(directory: Path, logins: Sequence[str]) -> dict[str, str]:
    """Those in the files, which are made where there are none; never shown."""
    try:
        return {name: _password(directory / name) for name in logins}
    except (OSError, UnicodeDecodeError) as error:
        raise FatalError(f"--passwords: {directory} cannot be used: {error}") from error


def _password(path: Path) -> str:
    if not path.exists():
        replace_file(path, f"{token_urlsafe(_PASSWORD_BYTES)}\n")
    if (mode := path.stat().st_mode) & 0o077:
        raise FatalError(f"--passwords: others may read {path} ({mode & 0o777:04o}): chmod 600 it")
    password = path.read_text("utf-8").strip()
    if not password:
        raise FatalError(f"--passwords: {path} is empty: remove it to have a password made")
    return password
