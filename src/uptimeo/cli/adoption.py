"""How does an adoption look in a terminal, and in a file?"""

import time

import click

from uptimeo.storage.adoption.forecast import Forecast
from uptimeo.storage.adoption.progress import Progress

_EVERY_S = 5.0


class Teller:
    """Says each step once, and how far the copying is every five seconds."""

    def __init__(self) -> None:
        self._step = ""
        self._told_at = 0.0
        self._began: tuple[float, int] | None = None

    def __call__(self, progress: Progress) -> None:
        """Hear of a step; on a terminal the line of a step that goes on is written anew."""
        now = time.monotonic()
        if progress.done is None or progress.total is None:
            click.echo(progress.step)
        elif progress.step != self._step or now - self._told_at >= _EVERY_S:
            self._told_at = now
            if progress.step != self._step:
                self._began = (now, progress.done)
            click.echo(self._counted(progress.step, progress.done, progress.total, now))
        self._step = progress.step

    def _counted(self, step: str, done: int, total: int, now: float) -> str:
        text = f"{step}: {done:,} of {total:,} ({done / max(total, 1):.0%})"
        began, first = self._began or (now, done)
        if now > began and done > first:
            rate = (done - first) / (now - began)
            text += f", {rate:,.0f}/s, {duration((total - done) / rate)} left"
        return text


def duration(seconds: float) -> str:
    """About how long: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def foretold(forecast: Forecast) -> list[str]:
    """The lines of a dry run."""
    span = f", {forecast.oldest} to {forecast.newest}" if forecast.heartbeats else ""
    return [
        f"older tables in the schema {forecast.schema}: {forecast.heartbeats:,} heartbeats{span}",
        f"copying takes about {duration(forecast.seconds)}, and everything stays in use meanwhile",
        "then writers and readers wait for a moment, while the new tables take their place",
        f"the new tables need about {_size(forecast.new_bytes)} of disk and as much of WAL",
        f"the older have {_size(forecast.older_bytes)}: `uptimeo migrate --drop-older` frees it",
        *(f"- {note}" for note in forecast.notes),
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 5e9 else f"{count / 1e9:,.1f} GB"
