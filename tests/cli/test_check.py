"""What does `uptimeo check` send, print and return, against a real server?"""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from click.testing import CliRunner, Result

from uptimeo.cli.check import check

_SLOW_S = 0.03


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Site:
    """A server and what was asked of it."""

    url: str
    seen: list[Seen] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined on close: no request outlives its test
    site: Site


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        site = cast("_Server", self.server).site
        site.seen.append(Seen(self.command, self.path, headers, body))
        if self.path == "/slow":
            time.sleep(_SLOW_S)
        code = int(self.path[1:]) if self.path[1:].isdigit() else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/200")
        self.send_header("Set-Cookie", "session=hunter2")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that the base class looks up

    def log_message(self, *_arguments: object) -> None:
        return


def serve(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    server = _Server(("127.0.0.1", 0), _Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    server.site = Site(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_site(authority: trustme.CA) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    yield from serve(context)


def run(*arguments: str, charset: str = "utf-8") -> Result:
    """The command as it runs in a pipe, whatever terminal the tests run in."""
    plain = {"COLUMNS": "80", "FORCE_COLOR": None, "TTY_COMPATIBLE": None}
    runner = CliRunner(charset=charset, env=plain)
    return runner.invoke(check, arguments, prog_name="uptimeo check")


def run_json(*arguments: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(run(*arguments, "--json").stdout))


def complaint(*arguments: str) -> str:
    """The one line that says what is wrong with a command line."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def test_a_healthy_target_is_up_and_exits_with_0(site: Site) -> None:
    result = run(f"{site.url}/200")
    assert result.exit_code == 0
    assert "✔ UP" in result.stdout
    assert "200 OK · 127.0.0.1 · 5 bytes" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_status_that_is_not_expected_is_down_and_exits_with_1(site: Site) -> None:
    result = run(f"{site.url}/503")
    assert result.exit_code == 1
    assert "✘ DOWN" in result.stdout
    assert "503 Service Unavailable" in result.stdout
    assert "expected 200-299 (http_status)" in result.stdout


def test_a_status_that_is_expected_is_up(site: Site) -> None:
    assert run(f"{site.url}/503", "--expect-status", "500-599").exit_code == 0


def test_a_refused_connection_is_down_in_the_connect_phase() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False) as server:
        server.server_bind()  # bound and not listening: nobody else gets the port
        result = run(f"http://127.0.0.1:{server.server_address[1]}/")
    assert result.exit_code == 1
    assert "✘ connect" in result.stdout
    assert "connection refused by 127.0.0.1" in result.stdout


def test_a_target_slower_than_critical_exits_with_1(site: Site) -> None:
    result = run(f"{site.url}/slow", "--warning", "1", "--critical", "2")
    assert result.exit_code == 1
    assert "▲ CRITICAL" in result.stdout
    assert "Slower than the critical threshold of 2 ms: wait alone took" in result.stdout


def test_a_target_slower_than_warning_only_exits_with_0(site: Site) -> None:
    result = run(f"{site.url}/slow", "--warning", "2", "--critical", "9000")
    assert result.exit_code == 0
    assert "▲ DEGRADED" in result.stdout


def test_json_has_the_same_keys_whatever_happened(site: Site) -> None:
    good, bad = run_json(f"{site.url}/200"), run_json(f"{site.url}/404")
    assert list(good) == list(bad)
    assert (good["status"], good["success"], good["error"]) == ("up", True, None)
    assert (bad["status"], bad["success"], bad["status_code"]) == ("down", False, 404)
    measured = [ms for ms in good["phases"].values() if ms is not None]
    assert sum(measured) + good["other_ms"] == pytest.approx(good["response_time_ms"], abs=0.01)


def test_json_does_not_show_secrets(site: Site) -> None:
    output = run(f"http://probe:hunter2@{site.url.removeprefix('http://')}/200", "--json").stdout
    assert "hunter2" not in output
    assert json.loads(output)["response_headers"]["Set-Cookie"] == "[redacted]"
    assert json.loads(output)["target"] == f"{site.url}/200"


def test_method_and_headers_arrive_as_given(site: Site) -> None:
    run(site.url, "-X", "put", "-H", "X-One: 1", "-H", "X-Two:a:b")
    (seen,) = site.seen
    assert seen.method == "PUT"
    assert (seen.headers["x-one"], seen.headers["x-two"]) == ("1", "a:b")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ("[]", []),
    ],
)
def test_a_json_body_is_posted_as_json(site: Site, text: str, sent: object) -> None:
    run(site.url, "-d", text)
    (seen,) = site.seen
    assert seen.method == "POST"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == sent


@pytest.mark.parametrize("text", ["hello=1", "{not json", "[NaN]", '"text"', "[" * 100_000])
def test_any_other_body_is_sent_as_the_text_it_is(site: Site, text: str) -> None:
    run(site.url, "--data", text, "-X", "PUT")
    (seen,) = site.seen
    assert (seen.method, seen.body) == ("PUT", text.encode())


def test_redirects_are_followed_unless_forbidden(site: Site) -> None:
    followed = run_json(f"{site.url}/302")
    assert followed["status_code"] == 200
    assert followed["phases"]["redirect_ms"] > 0
    kept = run_json(f"{site.url}/302", "--no-redirects", "--expect-status", "302")
    assert (kept["status_code"], kept["status"]) == (302, "up")


def test_an_untrusted_certificate_is_down_in_the_tls_phase(tls_site: Site) -> None:
    result = run(tls_site.url)
    assert result.exit_code == 1
    assert "✘ tls" in result.stdout


def test_insecure_accepts_any_certificate(tls_site: Site) -> None:
    assert run(tls_site.url, "--insecure").exit_code == 0


def test_ca_file_is_trusted(tls_site: Site, authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    assert run(tls_site.url, "--ca-file", str(bundle)).exit_code == 0


def test_a_console_without_unicode_gets_plain_ascii(site: Site) -> None:
    output = run(f"{site.url}/200", charset="ascii").stdout
    assert output.isascii()
    assert "+ UP" in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["example.com/x"], "URL 'example.com/x' has no scheme: write https://example.com/x or"),
        (["u:secret@h.example"], "URL 'h.example' has no scheme: write https://h.example or"),
        (["localhost:80"], "URL 'localhost:80' has no scheme: write https://localhost:80 or"),
        (["ftp://h/"], "URL 'ftp://h/' cannot be checked: the known schemes are "),
        (["http:///x"], "URL 'http:///x': the URL names no host"),
        (["http://u:secret@h:0/"], "URL 'http://h:0/': port 0 cannot be connected to"),
        (["http://h", "-X", "G T"], "--method 'G T': the method must be one word such as GET"),
        (["http://h", "--expect-status", "9"], "--expect-status '9': '9' is not a status or range"),
        (["http://h", "-X", "HEAD", "-d", "x"], "a HEAD request cannot carry a body"),
        (["http://h", "-o", "nonsense=1"], "--option nonsense means nothing to a check of http://"),
        (["http://h", "-o", "tls.min_version=4"], "--option tls.min_version: Input should be"),
        (["http://h", "-o", "auth.kind=magic"], "--option auth: Input tag 'magic'"),
        (["http://h", "-X", "PUT", "-o", "method=GET"], "--option method and the flag for it"),
        (["http://h", "--warning", "5", "--critical", "2"], "--warning 5 must not be above"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], expected: str) -> None:
    assert complaint(*arguments).startswith(expected)


def test_any_option_of_the_probe_can_be_given(site: Site) -> None:
    wanted = '[{"kind": "body", "equals": "hello"}, {"kind": "size", "max_bytes": 4}]'
    given = ("-o", f"assertions={wanted}", "--option", "body_format=form")
    result = run(f"{site.url}/302", "-o", 'body={"a": 1}', "-X", "POST", *given)
    assert result.exit_code == 1
    assert "hop 2       200" in result.stdout
    assert "✔ asserted  body is 'hello'" in result.stdout
    assert "✘ asserted  a body of 0 to 4 bytes: got 5 bytes" in result.stdout
    assert site.seen[0].body == b"a=1"
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_facts_are_in_the_json(site: Site) -> None:
    shown = run_json(f"{site.url}/302")
    assert [hop["status"] for hop in shown["facts"]["hops"]] == [302, 200]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "3601"])
def test_a_timeout_out_of_range_is_refused(seconds: str) -> None:
    line = complaint("http://h", f"--timeout={seconds}")
    assert line.startswith("Invalid value for '--timeout': ")
    assert line.endswith("is not above 0 and at most 3600 s")


def test_a_header_without_colon_is_refused_without_repeating_its_value() -> None:
    line = complaint("http://h", "-H", "Authorization hunter2")
    assert "'Authorization' is not followed by a colon: write 'Name: value'" in line
    assert "hunter2" not in line


def test_a_header_given_twice_is_refused() -> None:
    assert "'a' is given twice" in complaint("http://h", "-H", "A: 1", "-H", "a: 2")


def test_a_ca_file_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    missing, binary, plain = tmp_path / "missing", tmp_path / "binary", tmp_path / "plain"
    binary.write_bytes(b"\xff\xfe")
    plain.write_text("hello")
    assert "No such file" in complaint("https://h", "--ca-file", str(missing))
    assert "is not a text file" in complaint("https://h", "--ca-file", str(binary))
    assert "holds no certificate" in complaint("https://h", "--ca-file", str(plain))


def test_insecure_and_ca_file_exclude_each_other(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    line = complaint("https://h", "--insecure", "--ca-file", str(bundle))
    assert "leave out it or --ca-file" in line


def test_help_is_enough_to_use_it_and_fits_80_columns() -> None:
    text = run("--help").stdout
    assert "0  up or degraded" in text
    assert "uptimeo check https://example.com --warning 300 --critical 1000" in text
    assert max(map(len, text.splitlines())) <= 80
