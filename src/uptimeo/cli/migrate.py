"""`uptimeo migrate`: the schema, up to date."""

import click

from uptimeo.cli.adoption import Teller, foretold
from uptimeo.cli.database import find_conninfo, with_database
from uptimeo.storage import schema
from uptimeo.storage.database import shown
from uptimeo.storage.places import add_sample_datacenters


@click.command("migrate")
@click.option("--sample-data", is_flag=True, help="Also add nine datacenters if there is none.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long; do nothing.")
@click.option(
    "--drop-older",
    is_flag=True,
    help="Remove the older tables that an adoption has kept; nothing else.",
)
def migrate(*, sample_data: bool, dry_run: bool, drop_older: bool) -> None:
    """Bring the database's schema up to date.

    Safe to run at any time and from many places at once: one works, the others wait. Tables of an
    older installation are adopted while they are in use: docs/adopting.md.
    """
    conninfo = find_conninfo()
    if dry_run:
        _foretell(conninfo)
        return
    if drop_older:
        schema.drop_older(conninfo)
        click.echo(f"{shown(conninfo)}: the older tables are gone")
        return
    before, after = schema.migrate(conninfo, Teller())
    if before == after:
        click.echo(f"{shown(conninfo)}: schema {after} is up to date")
    else:
        click.echo(f"{shown(conninfo)}: schema {before or '(none)'} -> {after}")
    if sample_data:
        added = with_database(add_sample_datacenters)
        click.echo("added nine datacenters" if added else "there are datacenters already")


def _foretell(conninfo: str) -> None:
    before, forecast = schema.foresee(conninfo)
    click.echo(f"{shown(conninfo)}: schema {before or '(none)'} -> {schema.HEAD}")
    for line in foretold(forecast) if forecast else ():
        click.echo(line)
