"""Does the command line make a token that only the ping URL holds?"""

from hashlib import sha256
from typing import Any

import click
import pytest

from uptimeo.cli.push import announce, read_push
from uptimeo.probes.push.options import PushOptions

NOTHING = dict.fromkeys(("period", "cron", "timezone", "grace", "max_run"))


def read(url: str, **given: Any) -> Any:
    return read_push({**NOTHING, "url": url} | given)


def test_each_monitor_gets_a_token_of_its_own_and_keeps_its_hash() -> None:
    one, other = read("push", period=3600), read("push", period=3600)
    token = one.ping_url.rpartition("/")[2]

    assert one.options["token_sha256"] == sha256(token.encode()).hexdigest()
    assert one.options["token_sha256"] != other.options["token_sha256"]
    assert token not in str(one.options) + one.url
    assert one.ping_url in announce(one)


def test_its_options_are_those_of_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPTIMEO_RECEIVE_URL", "https://ping.example/")
    made = read("push://backup", cron="0 3 * * *", timezone="Europe/Berlin", grace=0, max_run=60)
    options = PushOptions.model_validate({"url": made.url} | made.options)

    assert options.url == "push://backup"
    assert (options.cron, options.grace_s, options.max_run_s) == ("0 3 * * *", 0, 60)
    assert made.ping_url.startswith("https://ping.example/ping/")


def test_other_types_have_no_period() -> None:
    assert read("https://example.org") is None
    with pytest.raises(click.UsageError, match="--period is for push monitors"):
        read("https://example.org", period=60)
