"""`uptimeo monitor history`: who changed what, and what was in force at a moment?"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from uptimeo.cli.database import with_database
from uptimeo.cli.masking import masked_value
from uptimeo.cli.palette import Pen
from uptimeo.domain.errors import FatalError
from uptimeo.storage.history import ConfigChange, ConfigThen, changes_of, config_then

_VALUE = 400
_WORDS = {
    "api_monitors": "monitor",
    "schedules": "schedule",
    "datacenter_monitors": "where it runs",
}
_DONE = {"found": "as found", "insert": "added", "update": "changed", "delete": "removed"}


@click.command("history")
@click.argument("id", type=int)
@click.option("--at", metavar="TIME", help="What was in force then: 2026-01-31T12:00:00 (UTC).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def history(*, id: int, at: str | None, as_json: bool) -> None:  # noqa: A002 - the name that --help shows
    """Show who changed the monitor ID when, or with --at what it had to do at a moment."""
    if at is not None:
        _show_then(id, _moment(at), as_json=as_json)
        return
    found = with_database(lambda connection: changes_of(connection, id))
    if not found:
        raise FatalError(f"there never was a monitor {id}: `uptimeo monitor list` shows them")
    if as_json:
        click.echo(json.dumps([_change_as_json(each) for each in found], indent=2))
        return
    console = Console(highlight=False)
    pen = Pen(ascii_only=console.options.ascii_only)
    for change in found:
        for line in _change_lines(change, pen):
            console.print(line, soft_wrap=True)


def _show_then(monitor: int, moment: datetime, *, as_json: bool) -> None:
    found = with_database(lambda connection: config_then(connection, monitor, moment))
    if found is None:
        raise FatalError(
            f"nothing is known of a monitor {monitor} at {moment:%Y-%m-%d %H:%M:%S} UTC:"
            f" `uptimeo monitor history {monitor}` shows since when"
        )
    rows = _then_as_json(found)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    pen = Pen(ascii_only=console.options.ascii_only)
    for name, value in rows.items():
        console.print(Text(name, "bold"))
        columns = value if isinstance(value, Mapping) else {"": value or "all"}
        for column, each in columns.items():
            if each is not None:
                line = Text.assemble((f"  {column:<22}", "dim"), pen.foreign(_text(each), _VALUE))
                console.print(line, soft_wrap=True)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write it as 2026-01-31T12:00:00", param_hint="--at"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _change_lines(change: ConfigChange, pen: Pen) -> Iterator[Text]:
    who = f"{change.role}, {change.application or 'unnamed'}"
    if change.address is not None:
        who += f", {change.address}"
    yield Text.assemble(
        (f"{change.changed_at:%Y-%m-%d %H:%M:%S} UTC  ", "bold"),
        f"{_WORDS.get(change.source, change.source)} {_DONE[change.action]}  ",
        (f"by {pen.foreign(who, 200)}", "dim"),
    )
    old, new = _masked(change.old), _masked(change.new)
    for column in {**old, **new}:
        if old.get(column) == new.get(column) and change.action == "update":
            yield _column(column, pen.foreign("changed; it is not shown", _VALUE))
        elif change.action == "update":
            was, became = (_text(each.get(column)) for each in (old, new))
            arrow = "->" if pen.ascii_only else "→"
            yield _column(
                column, f"{pen.foreign(was, _VALUE)} {arrow} {pen.foreign(became, _VALUE)}"
            )
        elif (value := {**old, **new}[column]) is not None:
            yield _column(column, pen.foreign(_text(value), _VALUE))


def _column(name: str, text: str) -> Text:
    return Text.assemble((f"  {name:<22}", "dim"), text)


def _masked(row: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if row is None else {name: masked_value(value, name) for name, value in row.items()}


def _change_as_json(change: ConfigChange) -> dict[str, Any]:
    return {
        "changed_at": change.changed_at.isoformat(),
        "role": change.role,
        "application": change.application,
        "address": change.address,
        "source": change.source,
        "action": change.action,
        "old": _masked(change.old) or None,
        "new": _masked(change.new) or None,
    }


def _then_as_json(found: ConfigThen) -> dict[str, Any]:
    return {
        "monitor": _masked(found.monitor),
        "schedule": _masked(found.schedule) or None,
        "datacenters": list(found.datacenters) or None,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
