"""A server that sends back all it gets, in every form: does a secret come any further?"""

import asyncio
import io
import json
import socketserver
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPMessage, parse_headers
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.support.builders import NOON, origin, row
from tests.support.fakes import LogBook
from tests.unit.test_redaction import leaks
from uptimeo.catalog.rows import to_monitor
from uptimeo.cli.waterfall import Waterfall, beat_as_json
from uptimeo.clock import ServerClock
from uptimeo.domain.check import Check
from uptimeo.domain.heartbeat import Heartbeat, to_wire
from uptimeo.domain.references import Reference, Source, Values
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts, Shared
from uptimeo.probes.running.places import HostPlaces
from uptimeo.probes.running.references import References
from uptimeo.probes.running.runner import CheckRunner

REFERENCE = Reference(Source.SECRET, "mine")
# What a URL takes as it is, and what a header does; no word of our own begins so.
IN_URLS = st.text("abcXYZ019._~-", min_size=5, max_size=30).map("~{}".format)
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
ANYWHERE = st.text(PRINTABLE, min_size=5, max_size=30).map("~{}".format)
PLACES: dict[str, tuple[st.SearchStrategy[str], dict[str, Any]]] = {
    "path": (IN_URLS, {"url": "{server}/{{secret:mine}}"}),
    "query": (IN_URLS, {"url": "{server}/?a=1&key={{secret:mine}}&b=2"}),
    "user and password": (IN_URLS, {"url": "{server_of_ann}/"}),
    "header": (ANYWHERE, {"headers": {"X-Thing": "is {{secret:mine}}!"}}),
    "authorization": (ANYWHERE, {"headers": {"Authorization": "Bearer {{secret:mine}}"}}),
    "body": (ANYWHERE, {"method": "POST", "body": {"a": ["{{secret:mine}}"]}}),
    "form": (
        ANYWHERE,
        {"method": "POST", "body": {"a": "{{secret:mine}}"}, "options": {"body_format": "form"}},
    ),
    "option": (
        ANYWHERE,
        {"options": {"auth": {"kind": "basic", "username": "ann", "password": "{{secret:mine}}"}}},
    ),
    "assertion": (
        ANYWHERE,
        {"options": {"assertions": [{"kind": "body", "contains": "no {{secret:mine}} in it"}]}},
    ),
}


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = self.rfile.readline().decode("latin-1").strip()
        headers: HTTPMessage = parse_headers(self.rfile)
        body = self.rfile.read(int(headers.get("Content-Length", "0"))).decode("latin-1")
        got = [request, *headers.values(), body.replace("\n", " ")]
        text = " | ".join(got)
        answer = [f"HTTP/1.1 500 {text[:200]}", f"Server: {text[:300]}", "Connection: close"]
        answer += [f"X-{number}: {quote(value)}" for number, value in enumerate(got)]
        answer += [f"Content-Type: {got[-1][:100]}", f"Location: /{quote(text)}?q={quote(text)}"]
        in_base64 = b64encode(text.encode("latin-1")).decode()
        content = json.dumps({"got": got, "all": in_base64, text: 1})
        raw = "\r\n".join([*answer, f"Content-Length: {len(content)}", "", content])
        self.wfile.write(raw.encode("latin-1"))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield int(serving.server_address[1])
        serving.shutdown()
        thread.join()


async def checked(fields: dict[str, Any], secret: str, book: LogBook) -> Heartbeat:
    """The heartbeat of a row, as its agent makes it."""
    registry = ProbeRegistry.installed()
    clock, made = ServerClock(), list[Heartbeat]()
    runner = CheckRunner(
        attempts=Attempts(
            registry=registry, references=References(()), shared=Shared(), log=book.log
        ),
        places=HostPlaces(9),
        permit=origin,
        clock=clock,
        emit=made.append,
        log=book.log,
    )
    try:
        monitor = to_monitor(row(**fields), registry, Values({REFERENCE: secret}))
        await runner.run(Check(monitor=monitor, scheduled_at=NOON, origin=origin()))
    finally:
        await registry.aclose()
    return made[0]


def shown(beat: Heartbeat) -> str:
    stream = io.StringIO()
    Console(file=stream, width=2000).print(Waterfall.of(beat))
    return stream.getvalue()


@pytest.mark.parametrize("place", PLACES)
def test_what_comes_back_is_in_no_heartbeat_no_log_and_no_output(server: int, place: str) -> None:
    strategy, fields = PLACES[place]

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(secret=strategy, keep_body=st.booleans())
    def holds(secret: str, keep_body: bool) -> None:
        book = LogBook()
        given_url = fields.get("url", "{server}/")
        url = given_url.replace("{server}", f"http://127.0.0.1:{server}").replace(
            "{server_of_ann}", f"http://ann:{{{{secret:mine}}}}@127.0.0.1:{server}"
        )

        beat = asyncio.run(checked(fields | {"url": url, "keep_body": keep_body}, secret, book))
        stored = json.loads(to_wire(beat))
        book.log.heartbeat_inserted(stored)

        assert beat.result.exchange is not None
        assert beat.result.exchange.status_code == 500
        assert beat.evidence is not None
        forms = (secret, quote(secret), quote(secret, safe=""), b64encode(secret.encode()).decode())
        for told in (stored, beat_as_json(beat), book.lines(), shown(beat)):
            assert leaks(told, *forms) == []

    holds()
