"""`uptimeo secret`: values that config rows refer to, sealed before they leave this host."""

import os
import sys
from datetime import UTC, datetime

import click

from uptimeo.catalog.sealing import KeyRing, add_key
from uptimeo.cli.database import with_database
from uptimeo.domain.errors import FatalError, SealError
from uptimeo.domain.secret import SealedSecret, is_secret_name, value_fault
from uptimeo.settings import read_key_file
from uptimeo.storage import secrets
from uptimeo.storage.database import Connection

_datacenter = click.option(
    "--datacenter", metavar="CODE", help="Only for the agents of this datacenter."
)


@click.group("secret")
def secret() -> None:
    """Save, list, remove or seal anew the secrets that monitors refer to.

    A monitor's URL, headers, body and options may say {{secret:NAME}}. The value is sealed here
    with the newest key in UPTIMEO_KEY_FILE; agents with that file open it.
    """


@secret.command("set")
@click.argument("name")
@_datacenter
def set_(name: str, *, datacenter: str | None) -> None:
    """Save the secret NAME; its value comes from stdin, or is asked for.

    In force within a second. One line break at the end of stdin does not belong to it.
    """
    _refuse_name(name)
    ring = KeyRing.read(read_key_file(os.environ))
    value = _read_value(name)
    if (fault := value_fault(value)) is not None:
        raise click.UsageError(f"the value of {name} {fault}")

    async def save(connection: Connection) -> None:
        where = await secrets.datacenter_id(connection, datacenter)
        await secrets.put_secret(connection, ring.seal(name, where, value))

    with_database(save)
    click.echo(f"saved {{{{secret:{name}}}}}{_for(datacenter)}, sealed with the key {ring.newest}")


@secret.command("list")
def list_() -> None:
    """List the secrets: names, datacenters and keys, never values."""
    lines = with_database(secrets.secret_lines)
    for line in lines:
        when = line.updated_at.astimezone(UTC)
        click.echo(
            f"{line.name}{_for(line.datacenter)}: key {line.key_id},"
            f" set {when:%Y-%m-%d %H:%M} UTC by {line.updated_by}"
        )
    if not lines:
        click.echo("no secrets yet: `uptimeo secret set NAME` saves one")


@secret.command("rm")
@click.argument("name")
@_datacenter
def remove(name: str, *, datacenter: str | None) -> None:
    """Delete the secret NAME; monitors that refer to it are not checked any more."""
    _refuse_name(name)

    async def work(connection: Connection) -> bool:
        where = await secrets.datacenter_id(connection, datacenter)
        return await secrets.remove_secret(connection, name, where)

    if not with_database(work):
        raise FatalError(f"there is no secret {name}{_for(datacenter)}: `uptimeo secret list`")
    click.echo(f"removed {name}{_for(datacenter)}")


@secret.command("rotate")
def rotate() -> None:
    """Seal every secret anew with the newest key; older keys may then leave the key files.

    Every agent needs the new key in its key file before.
    """
    ring = KeyRing.read(read_key_file(os.environ))

    def again(row: SealedSecret) -> SealedSecret | None:
        if row.key_id == ring.newest:
            return None
        try:
            return ring.seal(row.name, row.datacenter_id, ring.open(row))
        except SealError as error:
            raise FatalError(f"the secret {row.name} {error}; nothing was changed") from error

    count = with_database(lambda connection: secrets.reseal(connection, again))
    click.echo(f"sealed {count} secrets with the key {ring.newest}")


@secret.command("keygen")
def keygen() -> None:
    """Add a new key to UPTIMEO_KEY_FILE, which is made if there is none; it seals from then on."""
    path = read_key_file(os.environ)
    click.echo(f"added the key {add_key(path, datetime.now(UTC))} to {path}")


def _read_value(name: str) -> str:
    """From a person without an echo, or all of stdin."""
    if sys.stdin.isatty():
        return str(click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True))
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the value of {name} is not text in UTF-8") from error
    return value.removesuffix("\n").removesuffix("\r")


def _refuse_name(name: str) -> None:
    if not is_secret_name(name):
        raise click.UsageError(
            "NAME has up to 100 letters, digits, '.', '_' and '-', and begins with one of the first"
        )


def _for(datacenter: str | None) -> str:
    return "" if datacenter is None else f" for {datacenter}"
