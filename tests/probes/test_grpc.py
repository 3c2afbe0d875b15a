"""Does a check of a gRPC server say what its health service says, and measure each step?"""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.certificates import Authority
from tests.support.grpc_servers import grpc_server
from tests.support.servers import (
    HOST,
    answering,
    hanging_up,
    mute,
    refusing,
    resetting,
    response,
    serve,
)
from uptimeo.probes.base import AddressGuard, ErrorType, Phase, ProbeContext, ProbeResult
from uptimeo.probes.grpc.health import Serving, request, serving
from uptimeo.probes.grpc.probe import GrpcOptions, GrpcProbe

CALM = {"": "SERVING", "cart": "SERVING", "mail": "NOT_SERVING"}


async def check(port: int, context: ProbeContext | None = None, **options: Any) -> ProbeResult:
    given = {"url": f"grpc://{HOST}:{port}"} | options
    return await GrpcProbe().probe(
        GrpcOptions.model_validate(given), context or ProbeContext(timeout_ms=3000)
    )


def kind(result: ProbeResult) -> ErrorType | None:
    return result.failure.type if result.failure else None


async def test_a_server_that_serves_is_up_and_each_step_is_a_phase() -> None:
    with grpc_server(CALM) as port:
        result = await check(port)

    assert result.failure is None
    assert result.facts == {"grpc_status": "0", "serving": "SERVING"}
    assert {phase for phase, _ in result.phases.measured()} == {
        Phase.CONNECT,
        Phase.SEND,
        Phase.WAIT,
    }
    assert result.resolved_ip == HOST
    assert result.ttfb_ms is not None


async def test_a_service_is_asked_for_by_name_also_by_a_long_one() -> None:
    long = "x" * 300
    with grpc_server(CALM | {long: "SERVING"}) as port:
        cart, mail, other, longest = [
            await check(port, service=name) for name in ("cart", "mail", "other", long)
        ]

    assert cart.failure is None
    assert longest.failure is None
    assert mail.failure is not None
    assert mail.failure.type is ErrorType.NOT_SERVING
    at = f"{HOST}:{port}"
    assert mail.failure.message == f"service 'mail' at {at} is NOT_SERVING, expected SERVING"
    assert other.failure is not None
    assert other.failure.type is ErrorType.NOT_SERVING
    assert "the server knows no such service (gRPC status 5" in other.failure.message


async def test_another_status_than_serving_can_be_the_expected_one() -> None:
    with grpc_server(CALM) as port:
        assert kind(await check(port, service="mail", expected="NOT_SERVING")) is None
        assert kind(await check(port, expected="NOT_SERVING")) is ErrorType.NOT_SERVING


async def test_metadata_opens_a_guarded_server_and_its_lack_is_told() -> None:
    with grpc_server(CALM, guarded=True) as port:
        inside = await check(port, metadata={"token": "right"})
        outside = await check(port)

    assert inside.failure is None
    assert outside.failure is not None
    assert outside.failure.type is ErrorType.AUTHENTICATION
    assert "who are you?" in outside.failure.message


async def test_tls_is_a_phase_and_its_certificate_a_fact() -> None:
    authority = Authority.new()
    with grpc_server(CALM, authority=authority) as port:
        url = f"grpcs://localhost:{port}"
        good = await check(port, url=url, tls={"ca_pem": authority.pem})
        untrusted = await check(port, url=url)

    assert good.failure is None
    assert good.phases.tls is not None
    assert good.phases.dns is not None
    assert good.facts["tls"]["alpn"] == "h2"
    assert good.facts["certificate"]["leaf_expires"]
    assert kind(untrusted) is ErrorType.TLS_UNTRUSTED


async def test_a_certificate_is_a_fact_when_it_is_new_and_when_a_check_fails() -> None:
    authority = Authority.new()
    probe, context = GrpcProbe(), ProbeContext(timeout_ms=3000)
    with grpc_server(CALM, authority=authority) as port:
        given = {"url": f"grpcs://localhost:{port}", "tls": {"ca_pem": authority.pem}}
        served = GrpcOptions.model_validate(given)
        unserved = GrpcOptions.model_validate(given | {"service": "mail"})
        first, second = [await probe.probe(served, context) for _ in range(2)]
        failed = [await probe.probe(unserved, context) for _ in range(2)]
        untrusted = await check(port, url=served.url)

    assert set(first.facts) == {"tls", "certificate", "grpc_status", "serving"}
    assert set(second.facts) == {"grpc_status", "serving"}
    assert all(result.facts["certificate"] == first.facts["certificate"] for result in failed)
    assert kind(untrusted) is ErrorType.TLS_UNTRUSTED
    leaf = first.facts["certificate"]["fingerprint"]
    assert untrusted.facts["certificate"]["fingerprint"] == leaf


async def test_tls_without_http2_is_refused() -> None:
    authority = Authority.new()
    async with serve(mute, tls=authority.valid()) as server:
        url = f"grpcs://localhost:{server.port}"
        result = await check(0, url=url, tls={"ca_pem": authority.pem})

    assert kind(result) is ErrorType.PROTOCOL
    assert result.failure is not None
    assert "ALPN" in result.failure.message


async def test_a_web_server_is_no_grpc_server() -> None:
    async with serve(answering(response("200 OK", body=b"hello"))) as server:
        assert kind(await check(server.port)) is ErrorType.PROTOCOL


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (mute, ErrorType.FIRST_BYTE_TIMEOUT),
        (hanging_up, ErrorType.EMPTY_RESPONSE),
        (resetting, ErrorType.CONNECTION_RESET),
    ],
)
async def test_silence_and_a_lost_connection_are_told_apart(
    script: Any, expected: ErrorType
) -> None:
    async with serve(script) as server:
        result = await check(server.port, ProbeContext(timeout_ms=200))

    assert kind(result) is expected
    assert result.failure is not None
    assert server.shown in result.failure.message


async def test_frames_without_end_are_bounded() -> None:
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678"

    async def pinging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        while True:
            writer.write(ping * 100)
            await writer.drain()

    async with serve(pinging) as server:
        result = await check(server.port)

    assert kind(result) is ErrorType.BODY_TOO_LARGE


async def test_a_closed_port_and_a_forbidden_address_are_not_the_servers_answer() -> None:
    with refusing() as server:
        assert kind(await check(server.port)) is ErrorType.CONNECT_REFUSED
    guarded = ProbeContext(timeout_ms=3000, guard=AddressGuard.of("default"))
    assert kind(await check(50051, guarded)) is ErrorType.ADDRESS_FORBIDDEN


@pytest.mark.parametrize(
    "given",
    [
        {"url": "grpc://host"},
        {"url": "grpc://host:0"},
        {"url": "grpc://host:1/path"},
        {"url": "grpc://user@host:1"},
        {"url": "grpc://host:1", "tls": {}},
        {"url": "grpc://host:1", "metadata": {"te": "x"}},
        {"url": "grpc://host:1", "metadata": {"a": "x\r\ny"}},
        {"url": "grpc://host:1", "authority": "a b"},
    ],
)
def test_options_that_cannot_be_sent_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GrpcOptions.model_validate(given)


def framed(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


def test_a_status_is_found_among_fields_that_we_do_not_know() -> None:
    message = b"\x12\x02hi" + b"\x1d1234" + b"\x2112345678" + b"\x20\xff\x01" + b"\x08\x01"

    assert serving(framed(message)) is Serving.SERVING
    assert serving(framed(b"")) is Serving.UNKNOWN
    assert serving(framed(b"\x08\x63")) == 99


def test_a_request_without_a_service_is_empty() -> None:
    assert request("") == framed(b"")
    assert request("cart") == framed(b"\x0a\x04cart")


@given(st.binary(max_size=40))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_value_error(message: bytes) -> None:
    for body in (message, framed(message)):
        try:
            assert isinstance(serving(body), int)
        except ValueError:
            continue
