"""Does a WebSocket check shake hands, speak and judge as its options say? Against `websockets`."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError
from websockets.asyncio.server import ServerConnection, basic_auth, serve
from websockets.http11 import Request, Response

from tests.support.certificates import Authority
from tests.support.servers import (
    HOST,
    answering,
    endless,
    hanging_up,
    mute,
    resetting,
    response,
)
from tests.support.servers import serve as serve_script
from uptimeo.probes.base import AddressGuard, ErrorType, Phase, ProbeContext, ProbeResult
from uptimeo.probes.websocket.options import WebSocketOptions
from uptimeo.probes.websocket.probe import WebSocketProbe

SWITCH = response("101 Switching Protocols")


async def check(port: int, context: ProbeContext | None = None, **options: Any) -> ProbeResult:
    given = {"url": f"ws://{HOST}:{port}/chat?room=1"} | options
    return await WebSocketProbe().probe(
        WebSocketOptions.model_validate(given), context or ProbeContext(timeout_ms=3000)
    )


def kind(result: ProbeResult) -> ErrorType | None:
    return result.failure.type if result.failure else None


async def echo(connection: ServerConnection) -> None:
    """Greets with the path and repeats what it hears; leaves at "bye"."""
    assert connection.request is not None
    await connection.send(f"welcome to {connection.request.path}")
    async for message in connection:
        if message == "bye":
            await connection.close(4000, "as you like")
        elif message == "big":
            await connection.send("x" * 3_000_000)
        elif message == "parts":
            await connection.send(iter(["to", "get", "her"]))
        else:
            await connection.send(message)


@asynccontextmanager
async def echoing(tls: ssl.SSLContext | None = None, **given: Any) -> AsyncIterator[int]:
    async with serve(echo, HOST, 0, ssl=tls, **given) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_handshake_alone_is_up_and_each_step_is_a_phase() -> None:
    async with echoing() as port:
        result = await check(port)

    assert result.failure is None
    assert [phase for phase, _ in result.phases.measured()] == [
        Phase.CONNECT,
        Phase.SEND,
        Phase.WAIT,
    ]
    assert result.exchange is not None
    assert result.exchange.status_code == 101
    assert result.resolved_ip == HOST


async def test_texts_bytes_and_patterns_are_expected_in_order() -> None:
    steps = [
        {"expect": "welcome to /chat?room=1"},
        {"send": "hello 42"},
        {"expect_regex": r"^hello \d+$"},
        {"send_base64": "AP8="},
        {"expect_base64": "AP8="},
        {"send": "parts"},
        {"expect": "together"},
    ]
    async with echoing() as port:
        result = await check(port, steps=steps)

    assert result.failure is None
    assert result.phases.own["messages"] > 0


async def test_another_message_than_expected_is_shown_with_its_step() -> None:
    steps = [{"expect_regex": "welcome"}, {"send": "ping"}, {"expect": "pong"}]
    async with echoing() as port:
        result = await check(port, steps=steps)

    assert result.failure is not None
    assert result.failure.type is ErrorType.UNEXPECTED
    at = f"{HOST}:{port}"
    assert result.failure.message == f"step 3 of 3: {at}: expected 'pong', came 'ping'"
    assert result.failure.phase == "messages"


async def test_a_latency_and_the_days_of_a_certificate_are_asserted() -> None:
    authority = Authority.new()
    async with echoing(authority.valid()) as port:
        result = await check(
            port,
            url=f"wss://localhost:{port}/",
            tls={"ca_pem": authority.pem},
            assertions=[
                {"kind": "latency", "of": "tls", "max_ms": 60_000},
                {"kind": "certificate", "min_days": 30, "negate": True},
            ],
        )

    assert kind(result) is ErrorType.ASSERTION
    assert [each["ok"] for each in result.facts["assertions"]] == [True, False]


async def test_a_server_that_closes_says_why() -> None:
    async with echoing() as port:
        result = await check(port, steps=[{"expect_regex": "w"}, {"send": "bye"}, {"expect": "?"}])

    assert kind(result) is ErrorType.UNEXPECTED
    assert result.failure is not None
    assert "4000 (as you like)" in result.failure.message


async def test_a_message_above_the_limit_ends_the_check() -> None:
    async with echoing() as port:
        result = await check(port, steps=[{"expect_regex": "w"}, {"send": "big"}, {"expect": "x"}])

    assert kind(result) is ErrorType.BODY_TOO_LARGE


async def test_a_message_that_does_not_come_ends_the_check_with_its_time() -> None:
    async with echoing() as port:
        steps = [{"expect_regex": "welcome"}, {"expect": "more"}]
        result = await check(port, ProbeContext(timeout_ms=200), steps=steps)

    assert kind(result) is ErrorType.FIRST_BYTE_TIMEOUT
    assert result.total_ms is not None
    assert result.total_ms < 400


async def test_a_subprotocol_is_agreed_on_or_missed() -> None:
    async with echoing(subprotocols=["mqtt"]) as port:
        agreed = await check(port, subprotocols=["amqp", "mqtt"])
    async with echoing() as port:
        missed = await check(port, subprotocols=["amqp", "mqtt"])

    assert agreed.facts["subprotocol"] == "mqtt"
    assert kind(missed) is ErrorType.UNEXPECTED
    assert missed.failure is not None
    assert "amqp, mqtt" in missed.failure.message


async def test_credentials_of_the_url_are_sent_and_never_shown() -> None:
    guard = basic_auth(realm="x", credentials=("ann", "p@ss"))
    async with echoing(process_request=guard) as port:
        options = WebSocketOptions(url=f"ws://ann:p%40ss@{HOST}:{port}/")
        inside = await WebSocketProbe().probe(options, ProbeContext(timeout_ms=3000))
        outside = await check(port)

    assert inside.failure is None
    assert "ss@" not in options.target
    assert outside.failure is not None
    assert outside.failure.type is ErrorType.HTTP_STATUS
    assert outside.failure.message.startswith(f"status 401 from {HOST}:{port}, expected 101")


async def test_headers_reach_the_server() -> None:
    seen: list[Request] = []

    def note(_connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request)
        return None

    async with echoing(process_request=note, origins=["https://shop.example"]) as port:
        headers = {"Origin": "https://shop.example", "X-Key": "k"}
        assert kind(await check(port, headers=headers)) is None
        assert kind(await check(port)) is ErrorType.HTTP_STATUS

    assert seen[0].headers["X-Key"] == "k"
    assert seen[0].headers["Host"] == f"{HOST}:{port}"


async def test_tls_is_a_phase_and_its_certificate_a_fact() -> None:
    authority = Authority.new()
    async with echoing(authority.valid()) as port:
        url = f"wss://localhost:{port}/"
        good = await check(port, url=url, tls={"ca_pem": authority.pem})
        untrusted = await check(port, url=url)

    assert good.failure is None
    assert good.phases.tls is not None
    assert good.facts["certificate"]["leaf_expires"]
    assert kind(untrusted) is ErrorType.TLS_UNTRUSTED
    assert untrusted.facts["certificate"] == good.facts["certificate"] | {"chain_expires": None}


async def test_a_certificate_is_a_fact_when_it_is_new_and_when_a_check_fails() -> None:
    authority = Authority.new()
    probe, context = WebSocketProbe(), ProbeContext(timeout_ms=3000)
    tls = {"ca_pem": authority.pem}
    async with echoing(authority.valid()) as port:
        url = f"wss://localhost:{port}/"
        steps = [{"expect": "something else"}]
        fine = WebSocketOptions.model_validate({"url": url, "tls": tls})
        wrong = WebSocketOptions.model_validate({"url": url, "tls": tls, "steps": steps})
        first, second = [await probe.probe(fine, context) for _ in range(2)]
        failed = [await probe.probe(wrong, context) for _ in range(2)]

    assert first.facts["certificate"]["leaf_expires"]
    assert second.failure is None
    assert second.facts == {}
    assert all(result.facts["certificate"] == first.facts["certificate"] for result in failed)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (answering(response("200 OK", body=b"hello")), ErrorType.HTTP_STATUS),
        (answering(SWITCH), ErrorType.PROTOCOL),
        (answering(b"SSH-2.0-OpenSSH\r\n\r\n"), ErrorType.PROTOCOL),
        (endless(b"HTTP/1.1 101 OK\r\n", b"X-Y: " + b"z" * 1000 + b"\r\n"), ErrorType.PROTOCOL),
        (mute, ErrorType.FIRST_BYTE_TIMEOUT),
        (hanging_up, ErrorType.EMPTY_RESPONSE),
        (resetting, ErrorType.CONNECTION_RESET),
    ],
)
async def test_what_is_no_websocket_has_its_own_failure(script: Any, expected: ErrorType) -> None:
    async with serve_script(script) as server:
        result = await check(server.port, ProbeContext(timeout_ms=500))

    assert kind(result) is expected
    assert result.failure is not None
    assert server.shown in result.failure.message


async def test_a_flood_of_pings_is_bounded() -> None:
    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = head.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}"
        lines = ("Upgrade: websocket", "Connection: Upgrade", accept)
        writer.write("\r\n".join(["HTTP/1.1 101 OK", *lines, "", ""]).encode())
        while True:
            writer.write(b"\x89\x04ping" * 500)
            await writer.drain()

    async with serve_script(flooding) as server:
        result = await check(server.port, steps=[{"expect": "x"}], max_bytes=50_000)

    assert kind(result) is ErrorType.BODY_TOO_LARGE


async def test_a_forbidden_address_is_not_connected_to() -> None:
    guarded = ProbeContext(timeout_ms=3000, guard=AddressGuard.of("default"))
    assert kind(await check(80, guarded)) is ErrorType.ADDRESS_FORBIDDEN


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ws:///path"},
        {"url": "ws://host:0/"},
        {"url": "ws://host/ä"},
        {"headers": {"Host": "x"}},
        {"headers": {"Sec-WebSocket-Key": "x"}},
        {"headers": {"X": "a\r\nb"}},
        {"subprotocols": ["a b"]},
        {"tls": {}},
        {"steps": [{}]},
        {"steps": [{"send": "a", "send_base64": "AA=="}]},
        {"steps": [{"expect": "a", "expect_regex": "a"}]},
        {"steps": [{"send": "a", "expect": "a"}]},
        {"steps": [{"send_base64": "%"}]},
        {"steps": [{"expect_regex": "("}]},
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebSocketOptions.model_validate({"url": "ws://host/"} | given)
