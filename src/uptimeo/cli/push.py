"""How is a push monitor written on the command line, and its token made?"""

import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import click

from uptimeo.receiver.settings import URL, read_receiver_settings

_OPTIONS = {
    "period": "period_s",
    "cron": "cron",
    "timezone": "timezone",
    "grace": "grace_s",
    "max_run": "max_run_s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPush:
    """The parts of a push monitor's row, and the URL to call, which holds the token."""

    url: str
    options: dict[str, Any]
    ping_url: str


def push_options(command: Any) -> Any:
    """The options of `monitor add` that only a push monitor takes."""
    seconds = click.IntRange(0, 366 * 86_400)
    for option in (
        click.option("--max-run", type=seconds, metavar="SECONDS", help="Push: a run's longest."),
        click.option("--grace", type=seconds, metavar="SECONDS", help="Push: late by. [300]"),
        click.option("--timezone", metavar="NAME", help="Push: where --cron is meant. [UTC]"),
        click.option("--cron", metavar="EXPR", help='Push: when a signal is due: "0 3 * * *".'),
        click.option("--period", type=seconds, metavar="SECONDS", help="Push: between signals."),
    ):
        command = option(command)
    return command


def read_push(given: dict[str, Any]) -> NewPush | None:
    """A push monitor with a token of its own, if the URL asks for one: `push`, `push://NAME`."""
    wanted = {name: given[name] for name in _OPTIONS if given[name] is not None}
    url = str(given["url"])
    if url != "push" and not url.startswith("push://"):
        if wanted:
            option = min(wanted).replace("_", "-")
            raise click.UsageError(f"--{option} is for push monitors: `uptimeo monitor add push`")
        return None
    token = secrets.token_urlsafe(24)
    digest = sha256(token.encode()).hexdigest()
    return NewPush(
        url=f"push://job-{digest[:6]}" if url == "push" else url,
        options={_OPTIONS[name]: value for name, value in wanted.items()}
        | {"token_sha256": digest},
        ping_url=read_receiver_settings(os.environ).ping_url(token),
    )


def announce(new: NewPush) -> str:
    """What a person has to know, once: the token is not kept."""
    hint = "" if os.environ.get(URL) else f"\n(set {URL} to how jobs reach `uptimeo receive`)"
    return (
        f"ping URL, shown this once: {new.ping_url}\n"
        f"at the end of the job: curl -fsS --retry 5 {new.ping_url}{hint}"
    )
