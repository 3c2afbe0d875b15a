"""Are monitors written, changed and shown as people mean them?"""

import json
from typing import Any

import psycopg
import pytest

from tests.support.commands import ran, said, said_json
from uptimeo.cli.monitor import monitor

URL = "https://shop.example/health"


def shown(dsn: str, key: int = 1) -> Any:
    return said_json(monitor, "show", str(key), dsn=dsn)


def refused(dsn: str, *arguments: str) -> str:
    """Why nothing was saved."""
    result = ran(monitor, *arguments, dsn=dsn)
    assert result.exit_code != 0
    return str(result.stderr.splitlines()[-1] if result.stderr else result.exception)


def test_options_are_kept_as_the_model_takes_them(conninfo: str) -> None:
    given = ("-o", "http_version=2", "-o", "expected_status=204", "-o", "tls.min_version=1.3")
    said(monitor, "add", URL, *given, "-o", "cookies=false", "--retries", "2", dsn=conninfo)

    found = shown(conninfo)
    assert found["options"] == {
        "http_version": "2",
        "expected_status": "204",
        "tls": {"min_version": "1.3"},
        "cookies": False,
    }
    assert found["retries"] == 2
    assert found["defaults"]["max_redirects"] == 10
    assert "http_version" not in found["defaults"]


def test_a_request_goes_into_its_columns_however_it_is_given(conninfo: str) -> None:
    said(monitor, "add", URL, "-d", '{"a": 1}', "-o", 'headers={"X-One": "1"}', dsn=conninfo)

    found = shown(conninfo)
    assert found["request"] == {"method": "POST", "headers": {"X-One": "1"}, "body": {"a": 1}}
    assert found["options"] == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((URL, "-o", "tls.min_version=4"), "--option tls.min_version: Input should be '1.0'"),
        ((URL, "-o", "nonsense=1"), "--option nonsense means nothing to a check of https://"),
        (("tcp://cache.example:6379", "-d", "x"), "--data means nothing to a check of tcp://"),
        (("tcp://cache.example",), "URL 'tcp://cache.example': the URL names no port"),
        (("gopher://a/",), "there is no probe type 'GOPHER'; there are: "),
        (("u:hunter2@shop.example",), "URL 'shop.example' has no scheme: write https://"),
        ((URL, "--schedule", "x", "--interval", "1"), "--schedule stands instead of --interval"),
        ((URL, "--warning", "5", "--critical", "2"), "--warning 5 must not be above --critical 2"),
        ((URL, "--schedule", "never"), "there is no schedule 'never'"),
    ],
)
def test_what_cannot_be_checked_is_not_saved(
    conninfo: str, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in refused(conninfo, "add", *arguments)
    assert "no monitors yet" in said(monitor, "list", dsn=conninfo)


def test_an_edit_changes_what_is_said_and_nothing_else(conninfo: str) -> None:
    tls = ("-o", "tls.min_version=1.3", "-o", "tls.server_name=a.example", "-o", "cookies=false")
    said(monitor, "add", URL, *tls, "--warning", "300", "--datacenter", "VA", dsn=conninfo)
    before = shown(conninfo)

    change = ("-o", "tls.server_name=b.example", "--unset", "cookies", "--retries", "1")
    said(monitor, "edit", "1", *change, "--interval", "10", "--name", "shop", dsn=conninfo)

    after = shown(conninfo)
    assert after["options"] == {"tls": {"min_version": "1.3", "server_name": "b.example"}}
    assert (after["name"], after["retries"], after["interval_s"]) == ("shop", 1, 10)
    assert (after["warning_ms"], after["datacenters"]) == (300, ["VA"])
    assert after["target"] == before["target"]


def test_an_edit_leaves_the_schedule_of_others_alone(conninfo: str) -> None:
    for name in ("one", "two"):
        said(monitor, "add", URL, "--name", name, "--warning", "300", dsn=conninfo)

    said(monitor, "edit", "1", "--warning", "0", "--critical", "900", dsn=conninfo)

    assert (shown(conninfo, 1)["warning_ms"], shown(conninfo, 1)["critical_ms"]) == (None, 900)
    assert (shown(conninfo, 2)["warning_ms"], shown(conninfo, 2)["critical_ms"]) == (300, None)


def test_a_timeout_of_the_schedule_outlives_it(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO schedules (name, interval, timeout_ms) VALUES ('short', 60, 500)"
        )
    said(monitor, "add", URL, "--schedule", "short", dsn=conninfo)

    said(monitor, "edit", "1", "--interval", "30", dsn=conninfo)

    assert (shown(conninfo)["interval_s"], shown(conninfo)["timeout_ms"]) == (30, 500)


def test_a_monitor_moves_to_other_datacenters(conninfo: str) -> None:
    said(monitor, "add", URL, "--datacenter", "VA", dsn=conninfo)
    said(monitor, "edit", "1", "--datacenter", "SYD", "--datacenter", "VA", dsn=conninfo)
    assert sorted(shown(conninfo)["datacenters"]) == ["SYD", "VA"]
    said(monitor, "edit", "1", "--everywhere", dsn=conninfo)
    assert shown(conninfo)["datacenters"] is None


def test_an_edit_that_cannot_be_checked_changes_nothing(conninfo: str) -> None:
    said(monitor, "add", URL, "-o", "max_redirects=3", dsn=conninfo)
    before = shown(conninfo)

    assert "max_redirects" in refused(conninfo, "edit", "1", "-o", "max_redirects=99")
    assert "unknown datacenter" in refused(
        conninfo, "edit", "1", "--name", "x", "--datacenter", "nowhere"
    )
    assert "there is no monitor 7" in refused(conninfo, "edit", "7", "--name", "x")
    assert shown(conninfo) == before


def test_secrets_are_not_shown(conninfo: str) -> None:
    secrets = (
        *("-H", "Authorization: Bearer hunter2", "-H", "X-Api-Key: hunter2"),
        *("-o", "proxy=http://user:hunter2@proxy.example:3128"),
        *("-d", '{"password": "hunter2", "name": "ann"}'),
    )
    said(
        monitor, "add", "https://u:hunter2@a.example/?token=hunter2&page=2", *secrets, dsn=conninfo
    )
    auth: tuple[str, ...] = (
        "-o",
        "auth.kind=oauth2",
        "-o",
        "auth.client_secret=hunter2",
        "-o",
        "auth.client_id=me",
    )
    auth += ("-o", "auth.token_url=https://id.example/token")
    said(monitor, "add", "https://b.example/", *auth, dsn=conninfo)

    for output in (
        said(monitor, "show", "1", dsn=conninfo),
        said(monitor, "show", "2", dsn=conninfo),
        said(monitor, "list", dsn=conninfo),
        json.dumps([shown(conninfo, 1), shown(conninfo, 2)]),
        json.dumps(said_json(monitor, "list", dsn=conninfo)),
    ):
        assert "hunter2" not in output
        assert max(map(len, output.splitlines())) <= 80 or output.startswith("[")
    found = shown(conninfo, 1)
    assert found["target"] == "https://a.example/?token=[redacted]&page=2"
    assert found["request"]["body"] == {"password": "[redacted]", "name": "ann"}
    assert found["options"]["proxy"] == "http://proxy.example:3128"
    assert shown(conninfo, 2)["options"]["auth"]["token_url"] == "https://id.example/token"


def test_secrets_are_shown_to_who_asks_for_them(conninfo: str) -> None:
    steps = '[{"expect": "login: "}, {"send": "hunter2"}]'
    said(monitor, "add", "tcp://a.example:23", "-o", f"steps={steps}", dsn=conninfo)
    said(monitor, "add", "postgresql://ann:hunter2@db.example/app", dsn=conninfo)

    for key in (1, 2):
        assert "hunter2" not in said(monitor, "show", str(key), dsn=conninfo)
        assert "hunter2" in said(monitor, "show", str(key), "--reveal", dsn=conninfo)
    found = said_json(monitor, "show", "2", "--reveal", dsn=conninfo)
    assert found["target"] == "postgresql://ann:hunter2@db.example/app"


def test_a_sheet_tells_what_is_in_force(conninfo: str) -> None:
    given = ("--interval", "2", "--warning", "300", "--retries", "2", "--retry-delay", "100")
    said(monitor, "add", URL, "--name", "shop", *given, "-o", "tls.min_version=1.3", dsn=conninfo)

    lines = said(monitor, "show", "1", dsn=conninfo).splitlines()

    assert lines[0] == "✔ on  monitor 1: shop"
    assert "  timeout            2000 ms" in lines
    assert "  thresholds         degraded above 300 ms" in lines
    assert "  retries            2, 100 ms after a failed try" in lines
    assert "  tls.min_version    1.3" in lines
    assert any(line.startswith("  by default         ") for line in lines)


def test_a_row_that_cannot_be_used_is_shown_with_the_reason(conninfo: str) -> None:
    said(monitor, "add", URL, "--name", "shop", dsn=conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("""UPDATE api_monitors SET options = '{"max_redirects": 99}'""")

    text = said(monitor, "show", "1", dsn=conninfo)
    assert "invalid  monitor 1: shop" in text
    assert "  not checked        max_redirects: input should be less than or equal to 10" in text
    assert "invalid" in said(monitor, "list", dsn=conninfo)


LONG = "a-very-long-host-name-of-some-service.production.internal.example.com"


def test_the_list_fits_80_columns_whatever_the_type(conninfo: str) -> None:
    urls = (
        f"https://{LONG}/and/a/path/that/is/long?with=a&query=too",
        f"tcp://{LONG}:6379",
        f"tls://{LONG}",
        f"ping://{LONG}",
        f"dns://{LONG}/www.example.com?type=AAAA",
        f"smtp://{LONG}:587",
        f"postgresql://user:hunter2@{LONG}/database",
        f"wss://{LONG}/socket",
        f"grpcs://{LONG}:443",
        "exec://disk",
    )
    for url in urls:
        said(monitor, "add", url, "--warning", "300", "--critical", "1000", dsn=conninfo)
    said(monitor, "add", "push://nightly-backup", "--cron", "0 3 * * *", dsn=conninfo)
    said(monitor, "add", "ping://h", "--name", "漢" * 30, "--datacenter", "VA", dsn=conninfo)

    lines = said(monitor, "list", dsn=conninfo).splitlines()

    assert len(lines) == len(urls) + 3
    assert max(len(line) for line in lines[:-1]) <= 80
    assert "exec" in lines[10]
    assert "hunter2" not in "".join(lines)
