"""Can every option of a probe be written on the command line?"""

from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import ValidationError

from uptimeo.cli.options import GivenOption, read_options, validated
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.http import HttpOptions

URL = {"url": "https://target.example/"}


def read(*lines: str) -> tuple[GivenOption, ...]:
    return read_options(click.Context(click.Command("check")), click.Option(["-o"]), lines)


def options(*lines: str, **flags: Any) -> ProbeOptions:
    return validated(HttpOptions, URL | flags, read(*lines))[0]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("compressed=true", "compressed", True),
        ("max_redirects=3", "max_redirects", 3),
        ("http_version=2", "http_version", "2"),
        ('http_version="2"', "http_version", "2"),
        ("family=v6", "family", "v6"),
        ("source=127.0.0.1", "source", "127.0.0.1"),
        ("expected_status=204", "expected_status", "204"),
        ('resolve={"h": "127.0.0.1"}', "resolve", {"h": "127.0.0.1"}),
        ("proxy=http://h:1/?a=b", None, None),
    ],
)
def test_a_value_is_json_or_else_a_text(line: str, field: str | None, value: object) -> None:
    if field is None:
        with pytest.raises(ValidationError):
            options(line)
    else:
        assert getattr(options(line), field) == value


def test_dots_reach_into_objects_and_unions() -> None:
    found = options(
        "tls.min_version=1.2",
        "tls.server_name=inner.example",
        "auth.kind=basic",
        "auth.username=1",
        "auth.password=true",
    )

    assert isinstance(found, HttpOptions)
    assert found.tls is not None
    assert (found.tls.min_version, found.tls.server_name) == ("1.2", "inner.example")
    assert found.auth is not None
    assert found.auth.kind == "basic"
    assert (found.auth.username, found.auth.password.get_secret_value()) == ("1", "true")


def test_a_file_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "body").write_text("[1]")

    found = options(f"body=@{tmp_path / 'body'}", method="POST")

    assert isinstance(found, HttpOptions)
    assert found.body == "[1]"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("family",), "'family' is not followed by '='"),
        (("=1",), "'' is not followed by '='"),
        (("tls.=1",), "'tls.' is not followed by '='"),
        (("a=1", "a=2"), "'a' is given twice"),
        (("tls.verify=true", "tls={}"), "'tls' is given twice"),
        (("a=@/nowhere/at/all",), "'/nowhere/at/all' cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_value(
    lines: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(click.BadParameter) as refusal:
        read(*lines)

    assert refusal.value.message.startswith(reason)


def test_what_a_flag_says_already_is_refused() -> None:
    with pytest.raises(click.UsageError, match="leave out one"):
        options("method=PUT", method="POST")


def test_what_is_given_is_merged_into_what_was_there() -> None:
    kept = {"tls": {"verify": False, "server_name": "old.example"}, "cookies": False}
    given = read("tls.server_name=new.example", "http_version=2")
    _, values = validated(HttpOptions, URL, given, kept)

    assert values == URL | {
        "tls": {"verify": False, "server_name": "new.example"},
        "cookies": False,
        "http_version": "2",
    }
    assert kept["tls"] == {"verify": False, "server_name": "old.example"}
