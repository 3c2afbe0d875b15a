"""Is each way to fail told apart, and does its message name the address?"""

import pytest

from tests.support.http_checks import check, failure_of, milliseconds, up
from tests.support.servers import (
    OK,
    Script,
    Site,
    answering,
    answering_then_reset,
    answering_then_stalled,
    deaf,
    endless,
    hanging_up,
    mute,
    never_reading,
    refusing,
    resetting,
    response,
    serve,
)
from uptimeo.domain.result import ErrorType, Outcome, Phase

SHORT_MS = 150


async def test_an_unknown_name_is_named_in_the_message() -> None:
    result = await check("http://nothing.invalid/")

    failure = failure_of(result, ErrorType.DNS)
    assert failure.phase is Phase.DNS
    assert "nothing.invalid" in failure.message


async def test_a_refused_port_is_named_in_the_message() -> None:
    with refusing() as address:
        result = await check(address.url())

    failure = failure_of(result, ErrorType.CONNECT_REFUSED)
    assert failure.phase is Phase.CONNECT
    assert address.shown in failure.message


async def test_a_full_queue_of_connections_is_a_connect_timeout() -> None:
    with deaf() as (address, _):
        result = await check(address.url(), timeout_ms=SHORT_MS)

    failure = failure_of(result, ErrorType.CONNECT_TIMEOUT)
    assert failure.phase is Phase.CONNECT
    assert address.shown in failure.message
    assert f"{SHORT_MS} ms" in failure.message


async def test_a_handshake_without_an_answer_is_a_tls_timeout() -> None:
    async with serve(mute) as server:
        result = await check(server.url().replace("http", "https"), timeout_ms=SHORT_MS)

    failure = failure_of(result, ErrorType.TLS_TIMEOUT)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message


async def test_a_request_that_nobody_reads_is_a_send_timeout() -> None:
    beyond_all_buffers = "x" * 32_000_000
    async with serve(never_reading) as server:
        result = await check(
            server.url(), timeout_ms=2 * SHORT_MS, method="POST", body=beyond_all_buffers
        )

    failure = failure_of(result, ErrorType.SEND_TIMEOUT)
    assert failure.phase is Phase.SEND
    assert server.shown in failure.message


async def test_a_stalled_server_is_a_first_byte_timeout() -> None:
    async with serve(mute) as server:
        result = await check(server.url(), timeout_ms=SHORT_MS)

    failure = failure_of(result, ErrorType.FIRST_BYTE_TIMEOUT)
    assert failure.phase is Phase.WAIT
    assert server.shown in failure.message


async def test_a_stalled_body_is_a_transfer_timeout() -> None:
    async with serve(answering_then_stalled(OK[:-1])) as server:
        result = await check(server.url(), timeout_ms=SHORT_MS)

    failure = failure_of(result, ErrorType.TRANSFER_TIMEOUT)
    assert failure.phase is Phase.TRANSFER
    assert server.shown in failure.message
    assert "1 bytes" in failure.message


async def test_a_dribbled_body_cannot_outlast_the_budget() -> None:
    whole = response("200 OK", body=b"." * 100)
    script = answering(whole[:-100], *([b"."] * 100), between_s=0.05)
    async with serve(script) as server:
        result = await check(server.url(), timeout_ms=SHORT_MS)

    failure_of(result, ErrorType.TRANSFER_TIMEOUT)
    assert milliseconds(result.total_ms) < 2500


async def test_a_reset_while_the_request_is_sent_is_told_with_its_phase() -> None:
    async with serve(resetting) as server:
        result = await check(server.url(), method="POST", body="x" * 32_000_000)

    failure = failure_of(result, ErrorType.CONNECTION_RESET)
    assert failure.phase is Phase.SEND
    assert server.shown in failure.message


async def test_a_reset_in_the_handshake_is_told_with_its_phase() -> None:
    async with serve(resetting) as server:
        result = await check(server.url().replace("http", "https"))

    failure = failure_of(result, ErrorType.CONNECTION_RESET)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        pytest.param(answering_then_reset(), Phase.WAIT, id="before-the-answer"),
        pytest.param(answering_then_reset(OK[:-1]), Phase.TRANSFER, id="in-the-body"),
    ],
)
async def test_a_reset_connection_is_told_with_its_phase(script: Script, phase: Phase) -> None:
    async with serve(script) as server:
        result = await check(server.url())

    failure = failure_of(result, ErrorType.CONNECTION_RESET)
    assert failure.phase is phase
    assert server.shown in failure.message


async def test_a_close_without_an_answer_is_an_empty_response() -> None:
    async with serve(hanging_up) as server:
        result = await check(server.url())

    failure = failure_of(result, ErrorType.EMPTY_RESPONSE)
    assert failure.phase is Phase.WAIT
    assert server.shown in failure.message


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another-protocol"),
        pytest.param(b"\x00\xff\x15\x03\x01" * 20, id="binary"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", id="half-a-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n", id="bad-chunk"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok",
            id="two-lengths",
        ),
    ],
)
async def test_what_is_not_http_is_a_protocol_error(answer: bytes) -> None:
    async with serve(answering(answer)) as server:
        result = await check(server.url())

    failure = failure_of(result, ErrorType.PROTOCOL)
    assert server.shown in failure.message
    assert result.outcome is Outcome.DOWN


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(b"X-Filler: " + b"x" * 8000 + b"\r\n", id="too-many-bytes"),
        pytest.param(b"X: y\r\n", id="too-many-lines"),
        pytest.param(b"x" * 8000, id="one-line-without-an-end"),
    ],
)
async def test_endless_headers_are_cut_off(unit: bytes) -> None:
    async with serve(endless(b"HTTP/1.1 200 OK\r\n", unit)) as server:
        result = await check(server.url())

    failure = failure_of(result, ErrorType.HEADERS_TOO_LARGE)
    assert server.shown in failure.message


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="until-close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", id="announced"),
        pytest.param(b"HTTP/1.1 500 Oops\r\n\r\n", id="of-an-error"),
    ],
)
async def test_an_endless_body_is_cut_off(head: bytes) -> None:
    async with serve(endless(head, b"x" * 65_536)) as server:
        result = await check(server.url(), max_body_bytes=200_000)

    failure = failure_of(result, ErrorType.BODY_TOO_LARGE)
    assert failure.phase is Phase.TRANSFER
    assert server.shown in failure.message
    assert "200000 bytes" in failure.message


async def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    async with serve(Site(pages={"/": response("200 OK", body=b"x" * 1000)})) as server:
        result = up(await check(server.url(), max_body_bytes=1000))

    assert result.exchange is not None
    assert result.exchange.size_bytes == 1000


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "304 Same"])
async def test_an_unexpected_status_is_named_in_the_message(status: str) -> None:
    async with serve(Site(pages={"/": response(status)})) as server:
        result = await check(server.url())

    failure = failure_of(result, ErrorType.HTTP_STATUS)
    assert status[:3] in failure.message
    assert server.shown in failure.message
    assert failure.phase is None
