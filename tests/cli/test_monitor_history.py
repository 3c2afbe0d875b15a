"""Can a person see who changed a monitor, and what it had to do at a moment?"""

import json

import psycopg
import pytest

from tests.support.commands import ran, said, said_json
from uptimeo.cli.monitor import monitor


def test_the_history_shows_who_changed_what(conninfo: str) -> None:
    said(monitor, "add", "https://shop.example/", "--interval", "30", dsn=conninfo)
    said(monitor, "edit", "1", "--timeout", "2000", dsn=conninfo)

    text = said(monitor, "history", "1", dsn=conninfo)
    assert "monitor added" in text
    assert "https://shop.example/" in text
    assert "monitor changed" in text
    assert "null → 2000" in text
    assert "uptimeo " in text


def test_a_secret_that_was_changed_is_told_and_not_shown(conninfo: str) -> None:
    header = 'headers={"Authorization": "Bearer %s"}'
    said(monitor, "add", "https://shop.example/", "-o", header % "hunter2", dsn=conninfo)
    said(monitor, "edit", "1", "-o", header % "hunter3", dsn=conninfo)

    for form in ((), ("--json",)):
        assert "hunter" not in said(monitor, "history", "1", *form, dsn=conninfo)
    assert "changed; it is not shown" in said(monitor, "history", "1", dsn=conninfo)


def test_what_was_in_force_at_a_moment_is_shown(conninfo: str) -> None:
    said(monitor, "add", "https://a.example/", "--interval", "30", dsn=conninfo)
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()
    assert row is not None
    moment = row[0].isoformat()
    said(monitor, "edit", "1", "--interval", "60", dsn=conninfo)
    said(monitor, "remove", "1", dsn=conninfo)

    found = said_json(monitor, "history", "1", "--at", moment, dsn=conninfo)
    assert found["monitor"]["url"] == "https://a.example/"
    assert found["schedule"]["interval"] == 30
    assert found["datacenters"] is None
    assert "every 30 s" in said(monitor, "history", "1", "--at", moment, dsn=conninfo)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("7",), "there never was a monitor 7"),
        (("7", "--at", "2020-01-01"), "nothing is known of a monitor 7 at 2020-01-01 00:00:00 UTC"),
        (("7", "--at", "noon"), "'noon' is no time: write it as 2026-01-31T12:00:00"),
    ],
)
def test_what_cannot_be_told_is_refused(
    conninfo: str, arguments: tuple[str, ...], reason: str
) -> None:
    result = ran(monitor, "history", *arguments, dsn=conninfo)

    assert reason in f"{result.stderr}{result.exception}"


def test_json_has_every_change(conninfo: str) -> None:
    said(monitor, "add", "https://shop.example/", dsn=conninfo)
    said(monitor, "disable", "1", dsn=conninfo)

    changes = json.loads(said(monitor, "history", "1", "--json", dsn=conninfo))
    assert [each["action"] for each in changes] == ["insert", "update"]
    assert changes[1]["new"] == {"enabled": False}
