"""Does a stream of ours reach a server, measure each step, and say what went wrong where?"""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from errno import ETIMEDOUT

import pytest

from tests.support.certificates import Authority
from tests.support.servers import HOST, Script, deaf, hanging_up, mute, refusing, resetting, serve
from uptimeo.probes.base import (
    AddressGuard,
    Endpoint,
    ErrorType,
    Family,
    Phase,
    ProbeContext,
    ProbeResult,
    Stream,
    TargetError,
    Timeline,
    TlsOptions,
    open_stream,
)
from uptimeo.probes.network.resolver import Address
from uptimeo.probes.network.tls import TlsContexts


async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 re")
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.write(b"ady\r\n")
    await reader.readline()
    writer.write(b"221 bye\r\n")


async def failing(endpoint: Endpoint, context: ProbeContext, **given: TlsOptions) -> ProbeResult:
    """The result of a connection that does not come about."""
    timeline = Timeline()
    with pytest.raises(TargetError) as caught:
        async with open_stream(endpoint, context, timeline, **given):
            raise AssertionError("it was connected")
    return timeline.result(caught.value.failure)


@asynccontextmanager
async def connected(
    endpoint: Endpoint, timeline: Timeline, tls: TlsOptions | None = None
) -> AsyncIterator[Stream]:
    async with open_stream(endpoint, ProbeContext(timeout_ms=3000), timeline, tls) as stream:
        yield stream


def at(port: int, host: str = HOST) -> Endpoint:
    return Endpoint(host=host, port=port)


def kind(result: ProbeResult) -> ErrorType | None:
    return result.failure.type if result.failure else None


async def test_lines_are_read_over_fragments_and_the_first_byte_is_timed() -> None:
    timeline = Timeline()
    async with serve(greeting) as server, connected(at(server.port), timeline) as stream:
        with timeline.phase("banner"):
            banner = await stream.read_until(b"\r\n")
        await stream.send(b"QUIT\r\n")
        rest = await stream.read_until(b"\r\n")

    result = timeline.result()
    assert (banner, rest) == (b"220 ready\r\n", b"221 bye\r\n")
    assert result.phases.own["banner"] >= 19
    assert result.ttfb_ms is not None
    assert result.phases.dns is None
    assert result.resolved_ip == HOST
    assert abs(result.phases.total() + (result.other_ms or 0) - (result.total_ms or 0)) < 0.01


async def test_a_name_is_looked_up_in_a_phase_of_its_own() -> None:
    timeline = Timeline()
    async with (
        serve(greeting) as server,
        connected(at(server.port, "localhost"), timeline) as stream,
    ):
        await stream.read_until(b"\r\n")
        await stream.send(b"QUIT\r\n")

    assert timeline.phases().dns is not None


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_tls_shows_protocol_cipher_and_both_expiries(version: str) -> None:
    authority, timeline = Authority.new(), Timeline()
    options = TlsOptions.model_validate(
        {"ca_pem": authority.pem, "min_version": version, "max_version": version}
    )
    async with (
        serve(greeting, tls=authority.valid()) as server,
        connected(at(server.port, "localhost"), timeline, options) as stream,
    ):
        await stream.read_until(b"\r\n")
        await stream.send(b"QUIT\r\n")
        facts = stream.tls

    assert facts is not None
    assert facts.certificate is not None
    assert facts.protocol == f"TLSv{version}"
    assert facts.certificate.names == ("localhost", "127.0.0.1", "::1")
    assert facts.certificate.chain_expires is not None
    assert len(facts.certificate.fingerprint) == 64
    assert timeline.phases().tls is not None
    assert facts.as_facts()["tls"]["cipher"]


async def test_a_connection_is_upgraded_after_a_word_in_the_clear() -> None:
    authority, timeline = Authority.new(), Timeline()
    server_side = authority.valid()

    async def upgrading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"+OK\r\n")
        await writer.drain()
        await writer.start_tls(server_side)
        writer.write(b"inside\r\n")
        await writer.drain()

    async with serve(upgrading) as server, connected(at(server.port), timeline) as stream:
        await stream.send(b"STLS\r\n")
        await stream.read_until(b"\r\n")
        await stream.start_tls(TlsOptions(ca_pem=authority.pem))
        assert await stream.read_until(b"\r\n") == b"inside\r\n"


async def test_an_answer_that_was_slipped_in_before_tls_is_refused() -> None:
    async def injecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"+OK\r\n+OK too early\r\n")
        await writer.drain()
        await reader.read()

    timeline = Timeline()
    async with serve(injecting) as server, connected(at(server.port), timeline) as stream:
        await stream.send(b"STLS\r\n")
        await stream.read_until(b"\r\n")
        with pytest.raises(TargetError) as caught:
            await stream.start_tls(TlsOptions())

    assert caught.value.failure.type is ErrorType.STARTTLS


@pytest.mark.parametrize(
    ("make", "host", "expected"),
    [
        (Authority.expired, "localhost", ErrorType.TLS_EXPIRED),
        (Authority.not_yet_valid, "localhost", ErrorType.TLS_NOT_YET_VALID),
        (lambda ca: ca.valid("other.example"), "localhost", ErrorType.TLS_HOSTNAME),
        (lambda ca: ca.valid("other.example"), HOST, ErrorType.TLS_HOSTNAME),
    ],
)
async def test_a_bad_certificate_is_told_by_its_fault_and_shown(
    make: Callable[[Authority], ssl.SSLContext], host: str, expected: ErrorType
) -> None:
    authority = Authority.new()
    timeline, options = Timeline(), TlsOptions(ca_pem=authority.pem)
    context = ProbeContext(timeout_ms=3000)
    async with (
        serve(mute, tls=make(authority)) as server,
        open_stream(at(server.port, host), context, timeline) as stream,
    ):
        with pytest.raises(TargetError) as caught:
            await stream.start_tls(options)
        facts = stream.tls

    assert caught.value.failure.type is expected
    assert caught.value.failure.phase is Phase.TLS
    assert f"{HOST}:{server.port}" in caught.value.failure.message
    assert facts is not None
    assert facts.certificate is not None
    assert facts.certificate.chain_expires is None


async def test_an_authority_that_nobody_trusts_is_untrusted_unless_it_need_not_be() -> None:
    authority = Authority.new()
    async with serve(greeting, tls=authority.valid()) as server:
        refused = await failing(at(server.port), ProbeContext(timeout_ms=3000), tls=TlsOptions())
        timeline = Timeline()
        async with connected(at(server.port), timeline, TlsOptions(verify=False)) as stream:
            assert await stream.read_until(b"\r\n") == b"220 ready\r\n"
            await stream.send(b"QUIT\r\n")

    assert kind(refused) is ErrorType.TLS_UNTRUSTED


async def test_a_revoked_certificate_is_refused_if_a_list_is_given() -> None:
    authority = Authority.new()
    good, empty = authority.revocable(revoked=False)
    bad, full = authority.revocable(revoked=True)
    async with serve(greeting, tls=good) as server:
        lists = TlsOptions(ca_pem=authority.pem, crl_pem=empty)
        async with connected(at(server.port), Timeline(), lists) as stream:
            assert await stream.read_until(b"\r\n") == b"220 ready\r\n"
            await stream.send(b"QUIT\r\n")
    async with serve(greeting, tls=bad) as server:
        lists = TlsOptions(ca_pem=authority.pem, crl_pem=full)
        refused = await failing(at(server.port), ProbeContext(timeout_ms=3000), tls=lists)

    assert kind(refused) is ErrorType.TLS_REVOKED


async def test_a_client_certificate_is_sent_and_its_lack_is_told() -> None:
    authority = Authority.new()
    server_side = authority.valid()
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_verify_locations(cadata=authority.pem)
    leaf = authority.ca.issue_cert("client.example")
    pem = "".join(blob.bytes().decode() for blob in (leaf.private_key_pem, *leaf.cert_chain_pems))
    with_it = TlsOptions(ca_pem=authority.pem, client_pem=pem)
    without = TlsOptions(ca_pem=authority.pem, max_version="1.2")
    async with serve(greeting, tls=server_side) as server:
        async with connected(at(server.port), Timeline(), with_it) as stream:
            assert await stream.read_until(b"\r\n") == b"220 ready\r\n"
            await stream.send(b"QUIT\r\n")
        refused = await failing(at(server.port), ProbeContext(timeout_ms=3000), tls=without)

    assert kind(refused) in (ErrorType.TLS_CLIENT_CERTIFICATE, ErrorType.TLS)


async def test_a_refused_connection_names_the_address() -> None:
    with refusing() as server:
        result = await failing(at(server.port, "localhost"), ProbeContext(timeout_ms=3000))

    assert kind(result) is ErrorType.CONNECT_REFUSED
    assert result.failure is not None
    assert f":{server.port}" in result.failure.message
    assert result.failure.phase is Phase.CONNECT


async def test_no_answer_to_a_connection_ends_with_the_budget() -> None:
    with deaf() as (server, _):
        result = await failing(at(server.port), ProbeContext(timeout_ms=150))

    assert kind(result) is ErrorType.CONNECT_TIMEOUT
    assert result.phases.connect == pytest.approx(150, abs=100)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (mute, ErrorType.TLS_TIMEOUT),
        (hanging_up, ErrorType.TLS),
        (resetting, ErrorType.CONNECTION_RESET),
        (greeting, ErrorType.TLS),
    ],
)
async def test_a_handshake_that_does_not_come_about_is_told_by_its_cause(
    script: Script, expected: ErrorType
) -> None:
    async with serve(script) as server:
        result = await failing(at(server.port), ProbeContext(timeout_ms=300), tls=TlsOptions())

    assert kind(result) is expected
    assert result.failure is not None
    assert result.failure.phase is Phase.TLS
    assert server.shown in result.failure.message


async def test_a_forbidden_address_is_not_connected_to() -> None:
    context = ProbeContext(timeout_ms=3000, guard=AddressGuard.of("default"))
    connections = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with serve(count) as server:
        result = await failing(at(server.port, "localhost"), context)

    assert kind(result) is ErrorType.ADDRESS_FORBIDDEN
    assert result.failure is not None
    assert "localhost is 127.0.0.1" in result.failure.message or "::1" in result.failure.message
    assert "UPTIMEO_FORBIDDEN_NETWORKS" in result.failure.message
    assert not connections


async def test_the_wanted_family_decides_which_address_is_taken() -> None:
    async with serve(greeting, host="::1") as server:
        six = Endpoint(host="::1", port=server.port, family=Family.V6)
        timeline = Timeline()
        async with connected(six, timeline) as stream:
            await stream.read_until(b"\r\n")
            await stream.send(b"QUIT\r\n")
        four = Endpoint(host="::1", port=server.port, family=Family.V4)
        refused = await failing(four, ProbeContext(timeout_ms=3000))

    assert timeline.resolved_ip == "::1"
    assert kind(refused) is ErrorType.DNS


async def test_a_source_address_that_is_not_ours_is_our_own_fault() -> None:
    endpoint = Endpoint(host=HOST, port=1, source="192.0.2.1")

    result = await failing(endpoint, ProbeContext(timeout_ms=3000))

    assert kind(result) is ErrorType.MISCONFIGURED
    assert result.outcome == "unknown"


async def test_an_endless_line_ends_at_the_limit() -> None:
    async def chattering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    async with serve(chattering) as server, connected(at(server.port), Timeline()) as stream:
        with pytest.raises(TargetError) as caught:
            await stream.read_until(b"\n", limit=5000)

    assert caught.value.failure.type is ErrorType.BODY_TOO_LARGE


async def test_a_server_that_leaves_without_a_word_gave_no_answer() -> None:
    async def leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    async with serve(leaving) as server, connected(at(server.port), Timeline()) as stream:
        await stream.send(b"hello\r\n")
        with pytest.raises(TargetError) as caught:
            await stream.read_exactly(4)

    assert caught.value.failure.type is ErrorType.EMPTY_RESPONSE


class GivenUp(socket.socket):
    """A connection of which the kernel says what it says of a peer that vanished."""

    def recv(self, *_: object) -> bytes:
        raise TimeoutError(ETIMEDOUT, "Connection timed out")


async def test_a_connection_that_the_kernel_gives_up_was_too_slow() -> None:
    context, address = ProbeContext(timeout_ms=5000), Address("192.0.2.1")
    with GivenUp(socket.AF_INET, socket.SOCK_STREAM) as given_up:
        given_up.setblocking(False)
        stream = Stream(given_up, at(80), address, context, Timeline())
        with pytest.raises(TargetError) as raised:
            await stream.read(1)

    assert raised.value.failure.type is ErrorType.FIRST_BYTE_TIMEOUT


async def test_a_long_step_that_is_cancelled_is_over_before_the_next_begins() -> None:
    contexts, order = TlsContexts(), list[str]()
    began, may_end = threading.Event(), threading.Event()

    def long() -> None:
        began.set()
        may_end.wait(30)
        order.append("long")
        raise ssl.SSLError

    first = asyncio.create_task(contexts.apart(long))
    await asyncio.to_thread(began.wait, 30)
    first.cancel()
    second = asyncio.create_task(contexts.apart(lambda: order.append("next")))
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait([first, second])

    assert first.cancelled()
    assert order == ["long", "next"]
