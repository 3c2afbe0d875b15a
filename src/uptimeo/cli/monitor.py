"""`uptimeo monitor`: the config rows, from the command line."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from uptimeo.catalog.rows import to_monitor
from uptimeo.cli.database import with_database
from uptimeo.cli.push import announce, push_options, read_push
from uptimeo.cli.request import read_body, read_headers
from uptimeo.domain.errors import FatalError, InvalidMonitorError
from uptimeo.domain.text import one_line
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.monitors import MonitorRow


@click.group("monitor")
def monitor() -> None:
    """Add, list, switch on and off, or remove monitors."""


@monitor.command("add")
@click.argument("url")
@click.option("--name", help="What people call it.  [default: host and path of the URL]")
@click.option("--type", "kind", help="The probe type.  [default: the URL's scheme]")
@click.option("-X", "--method", help="[default: GET; POST with --data]")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar='"NAME: VALUE"', callback=read_headers
)
@click.option(
    "-d", "--data", callback=read_body, help="The body; an object or array is sent as JSON."
)
@click.option("--schedule", help="The name of an existing schedule, instead of the next four.")
@click.option("--interval", type=click.IntRange(1, 86_400), metavar="SECONDS", help="[default: 60]")
@click.option("--warning", type=click.IntRange(1), metavar="MS", help="Slower is degraded.")
@click.option("--critical", type=click.IntRange(1), metavar="MS", help="Slower is critical.")
@click.option("--keep-body", is_flag=True, help="Keep headers and body of every answer.")
@click.option(
    "--timeout", type=click.IntRange(1), metavar="MS", help="Whole check.  [default: 10000]"
)
@click.option(
    "--retries", type=click.IntRange(0, 10), default=0, metavar="N", help="More tries on failure."
)
@click.option(
    "--retry-delay", type=click.IntRange(0, 3_600_000), default=0, metavar="MS", help="[default: 0]"
)
@click.option("--datacenter", "codes", multiple=True, metavar="CODE", help="[default: all]")
@click.option(
    "-o", "--option", "options", multiple=True, metavar="NAME=JSON", help="For the probe."
)
@push_options
def add(**given: Any) -> None:
    """Watch URL from every datacenter, or from those named.

    \b
    uptimeo monitor add https://example.org/health --interval 30 --warning 300
    uptimeo monitor add https://example.org/ --datacenter VA -o expected_status='"200-399"'
    uptimeo monitor add push://nightly-backup --cron "0 3 * * *" --timezone Europe/Berlin
    """
    if (push := read_push(given)) is not None:
        given |= {"url": push.url}
    new = _new_monitor(given)
    if push is not None:
        new = replace(new, options={**new.options, **push.options})
    try:
        to_monitor(new.as_row(), ProbeRegistry.installed())
    except InvalidMonitorError as error:
        raise click.UsageError(f"not a valid monitor: {error}") from error
    key = with_database(lambda connection: edits.add_monitor(connection, new))
    click.echo(f"added monitor {key}: {new.name}")
    if push is not None:
        click.echo(announce(push))


@monitor.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def list_(*, as_json: bool) -> None:
    """List all monitors; those whose row cannot be used come with the reason."""
    registry = ProbeRegistry.installed()
    rows = [
        (row, codes, _reason(row, registry)) for row, codes in with_database(edits.all_monitors)
    ]
    if as_json:
        click.echo(json.dumps([_as_json(*each) for each in rows], indent=2))
    elif rows:
        Console().print(_table(rows))
    else:
        click.echo("no monitors yet: `uptimeo monitor add URL` adds one")


@monitor.command("enable")
@click.argument("id", type=int)
def enable(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Check this monitor again."""
    _switch(id, enabled=True)


@monitor.command("disable")
@click.argument("id", type=int)
def disable(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Stop checking this monitor; its row and its heartbeats stay."""
    _switch(id, enabled=False)


@monitor.command("remove")
@click.argument("id", type=int)
def remove(id: int) -> None:  # noqa: A002 - the name that --help shows
    """Delete this monitor's row; its heartbeats stay."""
    name = with_database(lambda connection: edits.remove_monitor(connection, id))
    click.echo(f"removed monitor {_known(id, name)}")


def _switch(key: int, *, enabled: bool) -> None:
    name = with_database(lambda c: edits.enable_monitor(c, key, enabled=enabled))
    click.echo(f"{'enabled' if enabled else 'disabled'} monitor {_known(key, name)}")


def _known(key: int, name: str | None) -> str:
    if name is None:
        raise FatalError(f"there is no monitor {key}: `uptimeo monitor list` shows them")
    return f"{key}: {one_line(name, 100)}"


def _new_monitor(given: dict[str, Any]) -> edits.NewMonitor:
    url = urlsplit(given["url"])
    if not url.scheme:
        raise click.UsageError(f"URL {given['url']!r} has no scheme: write https://{given['url']}")
    options = dict(_option(text) for text in given["options"])
    return edits.NewMonitor(
        name=(given["name"] or f"{url.hostname or ''}{url.path}".rstrip("/"))[:100],
        type=(given["kind"] or url.scheme).upper(),
        url=given["url"],
        schedule=_schedule(given),
        method=(given["method"] or ("GET" if given["data"] is None else "POST")).upper(),
        headers=given["headers"],
        body=given["data"],
        options=options,
        timeout_ms=given["timeout"],
        retries=given["retries"],
        retry_delay_ms=given["retry_delay"],
        datacenters=given["codes"],
    )


def _schedule(given: dict[str, Any]) -> edits.NewSchedule | str:
    own = {"interval", "warning", "critical"}
    if given["schedule"] is not None:
        if any(given[name] is not None for name in own) or given["keep_body"]:
            raise click.UsageError("--schedule stands instead of --interval, --warning, ...")
        return str(given["schedule"])
    warning, critical = given["warning"], given["critical"]
    if warning is not None and critical is not None and warning > critical:
        raise click.UsageError(f"--warning {warning} must not be above --critical {critical}")
    return edits.NewSchedule(
        interval_s=given["interval"] or 60,
        warning_ms=warning,
        critical_ms=critical,
        keep_body=given["keep_body"],
    )


def _option(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name.strip():
        raise click.UsageError(f"--option {text!r} must have the form NAME=JSON")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def _reason(row: MonitorRow, registry: ProbeRegistry) -> str | None:
    try:
        to_monitor(row, registry)
    except InvalidMonitorError as error:
        return str(error)
    return None


def _target(row: MonitorRow) -> str:
    parts = urlsplit(row.url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _table(rows: list[tuple[MonitorRow, tuple[str, ...], str | None]]) -> Table:
    longest = max(len(row.name) for row, _, _ in rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("id", justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("name", min_width=min(longest, 20), max_width=30, overflow="fold")
    table.add_column("target", overflow="fold")
    table.add_column("schedule", min_width=14, max_width=30)
    table.add_column("where", min_width=5, max_width=14)
    for row, codes, reason in rows:
        target = Text(one_line(_target(row), 300))
        if reason is not None:
            target.append(f"\n{reason}", "red")
        state = ("invalid", "red") if reason else ("on", "green") if row.enabled else ("off", "dim")
        table.add_row(
            str(row.id),
            Text(*state),
            Text(one_line(row.name, 100)),
            target,
            Text(one_line(row.schedule or "none", 50)),
            Text(", ".join(codes) or "all"),
        )
    return table


def _as_json(row: MonitorRow, codes: tuple[str, ...], reason: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "type": row.type,
        "target": _target(row),
        "schedule": row.schedule,
        "interval_s": row.interval_s,
        "enabled": row.enabled,
        "datacenters": list(codes) or None,
        "invalid": reason,
    }
