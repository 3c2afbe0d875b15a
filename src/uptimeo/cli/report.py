"""`uptimeo report`: uptime and response times of a period."""

import csv
import json
import re
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click
from rich.console import Console

from uptimeo.cli.database import with_database
from uptimeo.cli.report_table import report_table
from uptimeo.domain.text import one_line
from uptimeo.storage.uptime import Period, Uptime, UptimeReport, uptime_report

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36_525)


def read_moment(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> datetime | None:
    """A day or a moment in ISO 8601, as UTC; without a zone it is UTC already."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{one_line(text, 40)!r} is not a time: write 2026-03-01 or 2026-03-01T12:00Z"
        ) from error


def read_length(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> timedelta | None:
    """A number of minutes, hours, days or weeks."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,6})([mhdw])", text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else _LONGEST
    if length >= _LONGEST:
        raise click.BadParameter(
            f"{one_line(text, 40)!r} is not a length: write 90m, 24h, 30d or 4w"
        )
    return length


@click.command("report")
@click.option(
    "--last",
    callback=read_length,
    metavar="LENGTH",
    help="The time before now, as 24h, 30d (default), 4w.",
)
@click.option(
    "--from", "since", callback=read_moment, metavar="TIME", help="Where the period begins, UTC."
)
@click.option(
    "--to",
    "until",
    callback=read_moment,
    metavar="TIME",
    help="Where it ends, UTC; now if left out.",
)
@click.option("-m", "--monitor", type=int, metavar="ID", help="Only this monitor.")
@click.option(
    "-d",
    "--datacenter",
    "datacenters",
    multiple=True,
    metavar="CODE",
    help="Only there; may be repeated.",
)
@click.option(
    "--by",
    type=click.Choice(["monitor", "datacenter"]),
    default="monitor",
    help="A line for each monitor, or for each of its datacenters.",
)
@click.option("--json", "form", flag_value="json", help="JSON instead of a table.")
@click.option("--csv", "form", flag_value="csv", help="CSV instead of a table.")
def report(  # noqa: PLR0913 - one for each option
    *,
    last: timedelta | None,
    since: datetime | None,
    until: datetime | None,
    monitor: int | None,
    datacenters: tuple[str, ...],
    by: str,
    form: str | None,
) -> None:
    """Show uptime, coverage and response times of a period, for each monitor.

    Uptime is the share of the time with a verdict in which the target was not down, coverage the
    share of the time for which there is one. Both are rounded down. The ends of the period move to
    whole five minutes, and the end to what is rolled up.

    Exit code 1 if nothing was due in the period, else 0.
    """
    start, end = _window(last, since, until, datetime.now(UTC))
    period = Period(
        since=start,
        until=end,
        monitor=monitor,
        datacenters=datacenters,
        apart=by == "datacenter",
    )
    found = with_database(lambda connection: uptime_report(connection, period))
    if form == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
    elif form == "csv":
        _print_csv(found)
    else:
        Console(highlight=False).print(report_table(found))
    click.get_current_context().exit(0 if found.rows else 1)


def _window(
    last: timedelta | None, since: datetime | None, until: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    if last is not None and (since is not None or until is not None):
        raise click.UsageError("--last and --from or --to exclude each other")
    if until is not None and since is None:
        raise click.UsageError("--to needs --from: where does the period begin?")
    start = now - (last or timedelta(days=30)) if since is None else since
    end = until or now
    if start >= end:
        shown = f"{start:%Y-%m-%dT%H:%MZ}", f"{end:%Y-%m-%dT%H:%MZ}"
        raise click.UsageError(f"the period ends before it begins: {shown[0]} to {shown[1]}")
    return start, end


def _as_json(found: UptimeReport) -> dict[str, Any]:
    known = found.known_from
    return {
        "from": found.period.since.isoformat(),
        "to": found.period.until.isoformat(),
        "known_from": known.astimezone(UTC).isoformat() if known else None,
        "rows": [_plain(row) for row in found.rows],
    }


def _print_csv(found: UptimeReport) -> None:
    names = [field.name for field in fields(Uptime)]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        plain = _plain(row)
        writer.writerow(plain | {"datacenters": " ".join(plain["datacenters"])})


def _plain(row: Uptime) -> dict[str, Any]:
    return {field.name: _value(getattr(row, field.name)) for field in fields(Uptime)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return round(value, 3) if isinstance(value, float) else value
