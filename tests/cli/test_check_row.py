"""Does `uptimeo check --from-monitor` check what the row says, as an agent would, and no more?"""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import psycopg
import pytest

from tests.cli.test_check import Site, serve
from tests.support.commands import ran, said, said_json
from uptimeo.cli.check import check
from uptimeo.cli.monitor import monitor

ANYWHERE = {"UPTIMEO_FORBIDDEN_NETWORKS": "none"}


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve()


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets."""
    with ThreadingHTTPServer(("127.0.0.1", 0), None, bind_and_activate=False) as server:  # type: ignore[arg-type]
        server.server_bind()
        yield int(server.server_address[1])


def test_the_row_is_checked_as_it_stands_and_nothing_is_stored(conninfo: str, site: Site) -> None:
    given = ("-d", '{"a": 1}', "-o", "expected_status=503", "-H", "X-One: 1")
    said(monitor, "add", f"{site.url}/503", *given, dsn=conninfo)
    said(monitor, "disable", "1", dsn=conninfo)

    text = said(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE)

    assert "✔ UP" in text
    (seen,) = site.seen
    assert (seen.method, seen.body, seen.headers["x-one"]) == ("POST", b'{"a": 1}', "1")
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM api_heartbeats").fetchone() == (0,)


def test_the_thresholds_are_those_of_the_row(conninfo: str, site: Site) -> None:
    said(monitor, "add", f"{site.url}/slow", "--critical", "2", dsn=conninfo)

    result = ran(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE)

    assert result.exit_code == 1
    assert "critical threshold of 2 ms" in result.stdout


def test_failed_tries_are_shown(conninfo: str, refusing: int) -> None:
    said(monitor, "add", f"tcp://127.0.0.1:{refusing}", "--retries", "2", dsn=conninfo)

    result = ran(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE)

    assert result.exit_code == 1
    assert result.stdout.count("connect_refused in connect after") == 2
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_failed_tries_are_in_the_json(refusing: int) -> None:
    result = ran(check, f"tcp://127.0.0.1:{refusing}", "--retries", "1", "--json")
    assert '"attempts": 2' in result.stdout
    assert '"error_type": "connect_refused"' in result.stdout


def test_a_failure_without_a_network_of_our_own_is_unknown(
    conninfo: str, refusing: int, site: Site
) -> None:
    target = f"tcp://127.0.0.1:{refusing}"
    said(monitor, "add", target, dsn=conninfo)
    silent = {"UPTIMEO_REFERENCE_TARGETS": f"127.0.0.1:{refusing}"}
    alive = {"UPTIMEO_REFERENCE_TARGETS": f"127.0.0.1:{refusing}, {site.url.rpartition('/')[2]}"}

    isolated = ran(check, target, **silent)
    by_row = ran(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE, **silent)
    down = ran(check, target, **alive)
    wrong = ran(check, target, UPTIMEO_REFERENCE_TARGETS="nowhere")

    for result in (isolated, by_row):
        assert result.exit_code == 2
        assert "(isolated)" in result.stdout
    assert down.exit_code == 1
    assert "(connect_refused)" in down.stdout
    assert str(wrong.exception) == (
        "UPTIMEO_REFERENCE_TARGETS: 'nowhere' is wrong: it must be host:port, separated by commas"
    )


def test_the_forbidden_networks_are_those_of_an_agent(conninfo: str, site: Site) -> None:
    said(monitor, "add", site.url, dsn=conninfo)

    result = ran(check, "--from-monitor", "1", dsn=conninfo)

    assert result.exit_code == 1
    assert "(address_forbidden)" in result.stdout
    assert site.seen == []


def test_a_push_monitor_is_judged_by_its_signals(conninfo: str) -> None:
    said(monitor, "add", "push://nightly", "--period", "3600", dsn=conninfo)

    found = said_json(check, "--from-monitor", "1", dsn=conninfo)

    assert (found["status"], found["type"]) == ("up", "push")
    assert "due" in found["facts"]


def test_what_cannot_be_checked_is_told(conninfo: str) -> None:
    assert "there is no monitor 1" in str(ran(check, "--from-monitor", "1", dsn=conninfo).exception)
    said(monitor, "add", "https://a.example", dsn=conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("""UPDATE api_monitors SET options = '{"nonsense": 1}'""")
    found = ran(check, "--from-monitor", "1", dsn=conninfo)
    assert "monitor 1 is not checked by anybody: nonsense: " in str(found.exception)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("http://a.example",), "leave out URL"),
        (("--timeout", "3"), "leave out --timeout"),
        (("-o", "family=v4"), "leave out --option"),
        (("--insecure",), "leave out --insecure"),
    ],
)
def test_nothing_is_said_beside_the_row(arguments: tuple[str, ...], reason: str) -> None:
    result = ran(check, "--from-monitor", "1", *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_something_has_to_be_named() -> None:
    assert "URL, or --from-monitor ID" in ran(check).stderr


def test_insecure_and_ca_file_are_for_every_type_with_tls() -> None:
    result = ran(check, "tls://127.0.0.1:1", "--insecure")
    assert result.exit_code == 1
    assert "means nothing to a check of ping://" in ran(check, "ping://h", "--insecure").stderr


def test_the_flags_of_tls_stand_beside_its_other_options() -> None:
    given = ("tls://127.0.0.1:1", "--insecure", "-o", "tls.server_name=a.example")
    assert ran(check, *given).exit_code == 1
    refused = ran(check, *given, "-o", "tls.verify=true")
    assert "--option tls.verify and the flag for it: leave out one" in refused.stderr
