"""`uptimeo migrate`: the schema, up to date."""

import click

from uptimeo.cli.database import find_conninfo, with_database
from uptimeo.storage import schema
from uptimeo.storage.database import shown
from uptimeo.storage.places import add_sample_datacenters


@click.command("migrate")
@click.option("--sample-data", is_flag=True, help="Also add nine datacenters if there is none.")
def migrate(*, sample_data: bool) -> None:
    """Bring the database's schema up to date.

    Safe to run at any time and from many places at once: one works, the others wait.
    """
    conninfo = find_conninfo()
    before, after = schema.migrate(conninfo)
    if before == after:
        click.echo(f"{shown(conninfo)}: schema {after} is up to date")
    else:
        click.echo(f"{shown(conninfo)}: schema {before or '(none)'} -> {after}")
    if sample_data:
        added = with_database(add_sample_datacenters)
        click.echo("added nine datacenters" if added else "there are datacenters already")
