"""`uptimeo monitor add` and `edit`: how is a monitor written on the command line?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import click
from pydantic import ValidationError

from uptimeo.catalog.rows import settled_faults, told_monitor
from uptimeo.cli.database import with_database
from uptimeo.cli.options import (
    GivenOption,
    complaint,
    merged,
    read_options,
    validated,
    without_credentials,
)
from uptimeo.cli.push import announce, push_options, read_push
from uptimeo.cli.request import read_body, read_headers
from uptimeo.domain.errors import FatalError, InvalidMonitorError
from uptimeo.domain.text import one_line
from uptimeo.probes.base import Probe
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.monitors import MonitorRow

_REQUEST = {"method": "--method", "headers": "--header", "body": "--data"}
_SCHEDULE = ("interval", "warning", "critical", "keep_body")


def monitor_options(command: Callable[..., None]) -> Callable[..., None]:
    """What may be said of a new monitor, and of one that is there. Everything not said is None."""
    for option in reversed(
        (
            click.option("--name", help="What people call it.  [default: that of the URL]"),
            click.option("--type", "kind", help="The probe type.  [default: the URL's scheme]"),
            click.option("-X", "--method", help="[default: GET; POST with --data]"),
            click.option(
                "-H",
                "--header",
                "headers",
                multiple=True,
                metavar='"NAME: VALUE"',
                callback=read_headers,
                help="Request header; may be given several times.",
            ),
            click.option(
                "-d",
                "--data",
                "body",
                metavar="TEXT",
                callback=read_body,
                help="The body; a JSON object or array is sent as JSON.",
            ),
            *_schedule_options(),
            *_effort_options(),
            click.option(
                "--datacenter", "codes", multiple=True, metavar="CODE", help="[default: all]"
            ),
            click.option(
                "-o",
                "--option",
                "options",
                multiple=True,
                metavar="NAME=VALUE",
                callback=read_options,
                help="Any option of the probe type: JSON, a text, or @FILE; see"
                " `uptimeo probe-types`.",
            ),
        )
    ):
        command = option(command)
    return command


def _schedule_options() -> tuple[Callable[..., Any], ...]:
    return (
        click.option("--schedule", help="The name of a schedule, instead of the next four."),
        click.option(
            "--interval", type=click.IntRange(1, 86_400), metavar="SECONDS", help="[default: 60]"
        ),
        click.option(
            "--warning", type=click.IntRange(0), metavar="MS", help="Slower is degraded; 0: never."
        ),
        click.option(
            "--critical", type=click.IntRange(0), metavar="MS", help="Slower is critical; 0: never."
        ),
        click.option(
            "--keep-body/--no-keep-body",
            default=None,
            help="Keep headers and body of every answer, or only of those that fail or change.",
        ),
    )


def _effort_options() -> tuple[Callable[..., Any], ...]:
    return (
        click.option(
            "--timeout",
            type=click.IntRange(0, 86_400_000),
            metavar="MS",
            help="Of a whole check.  [default: 0, which is that of the schedule, or 10000]",
        ),
        click.option(
            "--retries", type=click.IntRange(0, 10), metavar="N", help="Tries after a failed one."
        ),
        click.option(
            "--retry-delay",
            type=click.IntRange(0, 3_600_000),
            metavar="MS",
            help="From a failed try to the next.",
        ),
    )


@click.command("add")
@click.argument("url")
@monitor_options
@push_options
def add(*, url: str, **given: Any) -> None:
    """Watch URL from every datacenter, or from those named.

    \b
    uptimeo monitor add https://example.org/health --interval 30 --warning 300
    uptimeo monitor add https://example.org/ --datacenter VA -o expected_status=200-399
    uptimeo monitor add tcp://cache.example:6379 --retries 2 --retry-delay 500
    uptimeo monitor add tls://example.org -o min_days=14 -o tls.min_version=1.3
    uptimeo monitor add push://nightly-backup --cron "0 3 * * *" --timezone Europe/Berlin
    """
    push = read_push({"url": url, **given})
    base = _blank(url if push is None else push.url, given["kind"])
    new = _revised(base if push is None else replace(base, options=push.options), given)
    key = with_database(lambda connection: edits.add_monitor(connection, new))
    click.echo(f"added monitor {key}: {one_line(new.name, 100)}")
    if push is not None:
        click.echo(announce(push))


@click.command("edit")
@click.argument("id", type=int)
@click.option("--url", help="What to check.")
@monitor_options
@click.option("--unset", multiple=True, metavar="NAME", help="Leave this option to its default.")
@click.option("--everywhere", is_flag=True, help="In every datacenter, as without --datacenter.")
def edit(*, id: int, **given: Any) -> None:  # noqa: A002 - the name that --help shows
    """Change what is said of the monitor ID; everything else stays.

    An option NAME=VALUE replaces the one of that name, NAME.PART=VALUE a part of it. A schedule
    that other monitors have too is left to them.

    \b
    uptimeo monitor edit 3 --interval 10 --warning 0
    uptimeo monitor edit 3 -o tls.server_name=inner.example --unset expected_status
    """
    if given["everywhere"] and given["codes"]:
        raise click.UsageError("--everywhere and --datacenter: leave out one")

    def revise(row: MonitorRow, codes: tuple[str, ...]) -> edits.NewMonitor:
        kept = () if given["everywhere"] else codes
        return _revised(_as_new(row, kept), given, row)

    new = with_database(lambda connection: edits.edit_monitor(connection, id, revise))
    if new is None:
        raise FatalError(f"there is no monitor {id}: `uptimeo monitor list` shows them")
    click.echo(f"changed monitor {id}: {one_line(new.name, 100)}")


def _blank(url: str, kind: str | None) -> edits.NewMonitor:
    parts = urlsplit(url)
    if not parts.scheme or "://" not in url:
        shown = without_credentials(url)
        raise click.UsageError(f"URL '{shown}' has no scheme: write https://{shown}")
    return edits.NewMonitor(
        name=f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")[:100] or url[:100],
        type=(kind or parts.scheme).upper(),
        url=url,
        schedule=edits.NewSchedule(interval_s=60),
    )


def _as_new(row: MonitorRow, codes: tuple[str, ...]) -> edits.NewMonitor:
    """The row as it stands."""
    return edits.NewMonitor(
        name=row.name,
        type=row.type,
        url=row.url,
        schedule=row.schedule or edits.NewSchedule(interval_s=60),
        method=row.method,
        headers=row.headers,
        body=row.body,
        options=row.options if isinstance(row.options, dict) else {},
        timeout_ms=row.timeout_ms,
        retries=row.retries,
        retry_delay_ms=row.retry_delay_ms,
        datacenters=codes,
    )


def _revised(
    base: edits.NewMonitor, given: Mapping[str, Any], row: MonitorRow | None = None
) -> edits.NewMonitor:
    """The monitor with what was given. Raises UsageError if it is none that can be checked."""
    registry = ProbeRegistry.installed()
    kind = (given["kind"] or base.type).upper()
    new = replace(
        base,
        name=(given["name"] or base.name)[:100],
        type=kind,
        url=given.get("url") or base.url,
        schedule=_schedule(base.schedule, given, row),
        timeout_ms=base.timeout_ms if given["timeout"] is None else given["timeout"] or None,
        retries=base.retries if given["retries"] is None else given["retries"],
        retry_delay_ms=(
            base.retry_delay_ms if given["retry_delay"] is None else given["retry_delay"]
        ),
        datacenters=given["codes"] or base.datacenters,
    )
    probe = registry.get(kind)
    if probe is None:
        known = ", ".join(registry.names())
        raise click.UsageError(f"there is no probe type '{one_line(kind, 40)}'; there are: {known}")
    new = _with_request(new, given, probe)
    try:
        told_monitor(new.as_row(), registry)
    except InvalidMonitorError as error:
        raise click.UsageError(f"not a valid monitor: {error}") from error
    return new


def _with_request(
    new: edits.NewMonitor, given: Mapping[str, Any], probe: Probe[Any]
) -> edits.NewMonitor:
    """With the columns of the request, and the options, as the model of the type takes them."""
    takes = probe.options.model_fields
    for column, flag in _REQUEST.items():
        if given[column] is not None and column not in takes:
            raise click.UsageError(f"{flag} means nothing to a check of {new.type.lower()}://")
    posts = given["body"] is not None and new.method == "GET"
    columns = {
        "method": (given["method"] or ("POST" if posts else new.method)).upper(),
        "headers": new.headers if given["headers"] is None else given["headers"],
        "body": new.body if given["body"] is None else given["body"],
    }
    options: tuple[GivenOption, ...] = given["options"]
    named = {option.path[0] for option in options}
    flags = {"url": new.url} | {
        column: value
        for column, value in columns.items()
        if value is not None and column in takes and column not in named
    }
    kept = {key: value for key, value in new.options.items() if key not in given.get("unset", ())}
    try:
        _, values = validated(probe.options, flags, options, kept)
    except ValidationError as error:
        values = merged(flags, options, kept)
        if settled_faults(error, values):
            raise click.UsageError(complaint(error, new.type.lower(), flags)) from error
    columns |= {column: values.pop(column) for column in columns if column in values}
    del values["url"]
    return replace(new, **columns, options=values)


def _schedule(
    now: edits.NewSchedule | str, given: Mapping[str, Any], row: MonitorRow | None
) -> edits.NewSchedule | str:
    own = {name: given[name] for name in _SCHEDULE if given[name] is not None}
    if given["schedule"] is not None:
        if own:
            raise click.UsageError("--schedule stands instead of --interval, --warning, ...")
        return str(given["schedule"])
    if row is not None and not own:
        if row.schedule is None:
            raise click.UsageError("the monitor has no schedule: give --schedule or --interval")
        return now
    interval_s = own.get("interval") or (row and row.interval_s) or 60
    warning = own.get("warning", row and row.warning_ms) or None
    critical = own.get("critical", row and row.critical_ms) or None
    if warning is not None and critical is not None and warning > critical:
        raise click.UsageError(f"--warning {warning} must not be above --critical {critical}")
    return edits.NewSchedule(
        interval_s=interval_s,
        warning_ms=warning,
        critical_ms=critical,
        keep_body=bool(own.get("keep_body", row and row.keep_body)),
    )
