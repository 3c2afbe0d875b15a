"""`uptimeo demo`: something to watch that misbehaves, where agents on other hosts reach it."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

import click

from uptimeo.cli.database import with_database
from uptimeo.demo.monitors import DEMO_SCHEDULES, DemoMonitor, DemoSchedule, plain_monitors
from uptimeo.demo.target import serve
from uptimeo.storage.database import Connection
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule, put_monitor


@click.group("demo")
def demo() -> None:
    """A target that misbehaves on purpose, and monitors that watch it."""


@demo.command("target")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
def target(*, host: str, port: int) -> None:
    """Serve the demo target, plain HTTP, until SIGTERM or Ctrl+C.

    It has no login and does nothing but answer. `uptimeo up --demo` has one of its own.
    """

    def listening(where: str) -> None:
        click.echo(f"the demo target listens on http://{where}")

    asyncio.run(serve(host, port, listening))


@demo.command("monitors")
@click.argument("url")
def monitors(url: str) -> None:
    """Install the monitors of a demo target that runs at URL, for every datacenter.

    A monitor that is there already is changed in place.
    """
    if not _is_base(url):
        raise click.BadParameter(f"{url!r} is not like http://demo:8080", param_hint="URL")
    wanted = plain_monitors(url)

    async def work(connection: Connection) -> None:
        await install(connection, wanted)

    with_database(work)
    click.echo(f"{len(wanted)} monitors watch {url} from every datacenter")


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        address = f"http://{parts.netloc}"
        return bool(parts.hostname) and parts.port != 0 and url.rstrip("/") == address
    except ValueError:  # of the port, or of brackets
        return False


async def install(connection: Connection, monitors: Iterable[DemoMonitor]) -> None:
    """Save each monitor of the demo under its name, on its schedule."""
    schedules = {schedule.name: schedule for schedule in DEMO_SCHEDULES}
    for monitor in monitors:
        await put_monitor(connection, _as_new(monitor, schedules[monitor.schedule]))


def _as_new(monitor: DemoMonitor, schedule: DemoSchedule) -> NewMonitor:
    return NewMonitor(
        name=monitor.name,
        type=monitor.type,
        url=monitor.url,
        method=monitor.method,
        headers=None if monitor.headers is None else dict(monitor.headers),
        body=monitor.body,
        options=dict(monitor.options),
        timeout_ms=monitor.timeout_ms,
        schedule=NewSchedule(
            name=schedule.name,
            interval_s=schedule.interval_s,
            warning_ms=schedule.warning_ms,
            critical_ms=schedule.critical_ms,
            keep_body=schedule.include_response_body,
        ),
    )
