"""Is the version of HTTP and of TLS that is wanted the one that is spoken?"""

import asyncio
import socket
import ssl
from typing import Any

import pytest

from tests.support.blocking import alerting
from tests.support.certificates import Authority
from tests.support.http2 import http2
from tests.support.http3 import Answer, http3, slowed
from tests.support.http_checks import check, failure_of, milliseconds, up
from tests.support.servers import HOST, Site, serve
from uptimeo.domain.result import ErrorType
from uptimeo.probes.base import AddressGuard, ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe


def offering_h2(authority: Authority) -> ssl.SSLContext:
    context = authority.valid()
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize("wanted", [None, "2"])
async def test_http_2_is_spoken_over_tls(wanted: str | None) -> None:
    authority = Authority.new()
    async with serve(http2, tls=offering_h2(authority)) as server:
        result = up(await check(server.url(), http_version=wanted, ca_pem=authority.pem))

    assert result.exchange is not None
    assert result.exchange.http_version == "2"
    assert result.facts["tls"]["alpn"] == "h2"


async def test_http_2_is_spoken_in_the_clear_if_it_is_wanted() -> None:
    async with serve(http2) as server:
        result = up(await check(server.url(), http_version="2"))

    assert result.exchange is not None
    assert result.exchange.http_version == "2"


async def test_another_version_than_the_wanted_one_is_down() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        result = await check(server.url(), http_version="2", ca_pem=authority.pem)

    failure = failure_of(result, ErrorType.HTTP_VERSION)
    assert failure.message == f"{server.shown} answered in HTTP/1.1, expected HTTP/2"


async def test_http_3_is_spoken_if_it_is_wanted() -> None:
    authority = Authority.new()
    async with http3(authority.leaf()) as server:
        result = up(await check(server.url(), http_version="3", ca_pem=authority.pem))

    assert result.exchange is not None
    assert result.exchange.http_version == "3"
    assert result.exchange.body_start == b"ok"
    assert result.resolved_ip == HOST
    assert result.facts["tls"]["protocol"] == "TLSv1.3"
    assert result.facts["certificate"]["presented"] == 1


async def test_a_head_and_a_body_too_large_are_as_over_tcp() -> None:
    authority = Authority.new()
    wanted: dict[str, Any] = {"http_version": "3", "ca_pem": authority.pem}
    bodiless = Answer(headers=((b"content-length", b"2"),), body=b"")
    async with http3(authority.leaf(), answer=bodiless) as server:
        head = up(await check(server.url(), method="HEAD", **wanted))
    async with http3(authority.leaf(), answer=Answer(body=bytes(100_000))) as server:
        large = await check(server.url(), max_body_bytes=99_999, **wanted)

    assert head.exchange is not None
    assert head.exchange.size_bytes == 0
    failure_of(large, ErrorType.BODY_TOO_LARGE)


async def test_http_3_does_not_follow_a_redirect_to_where_there_is_none() -> None:
    authority = Authority.new()
    away = Answer(status=b"302", headers=((b"location", b"http://target.example/"),))
    async with http3(authority.leaf(), answer=away) as server:
        options: dict[str, Any] = {"resolve": {"target.example": HOST}, "ca_pem": authority.pem}
        result = await check(server.url(), http_version="3", **options)

    failure = failure_of(result, ErrorType.REDIRECT_REFUSED)
    assert failure.message.startswith("redirected to http://target.example/: ")


async def test_the_phases_of_http_3_are_where_the_time_went() -> None:
    authority = Authority.new()
    async with (
        http3(authority.leaf(), answer=Answer(delay_s=0.3)) as server,
        slowed(server, to_server_s=0.05, to_client_s=(0.1, 0.4)) as slow,
    ):
        result = up(await check(slow.url(), http_version="3", ca_pem=authority.pem))

    phases = result.phases
    assert phases.dns is None
    assert milliseconds(phases.connect) >= 145  # to the server's first word, and back
    assert milliseconds(phases.tls) >= 150  # what is left until its second word comes
    assert milliseconds(phases.wait) >= 700  # there and back, and the server's own time


async def test_a_late_answer_over_http_3_has_no_first_byte() -> None:
    authority = Authority.new()
    wanted: dict[str, Any] = {"http_version": "3", "ca_pem": authority.pem}
    async with http3(authority.leaf(), answer=Answer(delay_s=5)) as server:
        result = await check(server.url(), timeout_ms=300, **wanted)

    failure = failure_of(result, ErrorType.FIRST_BYTE_TIMEOUT)
    assert failure.message == f"no first byte from {server.shown} within 300 ms"


async def test_http_3_is_refused_where_nobody_speaks_it() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        result = await check(server.url(), http_version="3", ca_pem=authority.pem, timeout_ms=1000)

    failure = failure_of(result, ErrorType.CONNECT_REFUSED)
    assert failure.message == f"connection refused by {server.shown}"


async def test_a_port_that_is_closed_meanwhile_refuses() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((HOST, 0))
        held.setblocking(False)
        url = f"https://{HOST}:{held.getsockname()[1]}/"
        checking = asyncio.create_task(check(url, http_version="3", timeout_ms=5000))
        await loop.sock_recv(held, 65_536)

    failure_of(await checking, ErrorType.CONNECT_REFUSED)


async def test_a_server_that_is_silent_over_quic_is_a_timeout() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        port = deaf.getsockname()[1]
        result = await check(f"https://{HOST}:{port}/", http_version="3", timeout_ms=300)

    failure = failure_of(result, ErrorType.CONNECT_TIMEOUT)
    assert failure.message == f"no QUIC connection to {HOST}:{port} within 300 ms"


async def test_quic_without_http_is_no_connection() -> None:
    authority = Authority.new()
    async with http3(authority.leaf(), protocols=("other",)) as server:
        result = await check(server.url(), http_version="3", ca_pem=authority.pem)

    assert server.shown in failure_of(result, ErrorType.CONNECT).message


@pytest.mark.parametrize("forbidden", [f"{HOST}/32", "default"])
async def test_a_forbidden_address_is_not_connected_to_over_quic(forbidden: str) -> None:
    probe = HttpProbe()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind((HOST, 0))
        asked.setblocking(False)
        options = HttpOptions(
            url=f"https://target.example:{asked.getsockname()[1]}/",
            http_version="3",
            resolve={"target.example": (HOST,)},
        )
        context = ProbeContext(timeout_ms=1000, guard=AddressGuard.of(forbidden))
        result = await probe.probe(options, context)
        await probe.aclose()
        with pytest.raises(BlockingIOError):
            asked.recv(65_536)

    failure = failure_of(result, ErrorType.ADDRESS_FORBIDDEN)
    assert failure.message.startswith(f"target.example is {HOST}, and")


async def test_of_two_addresses_the_allowed_one_is_taken_over_quic() -> None:
    authority = Authority.new()
    async with http3(authority.leaf("target.example"), host="127.0.0.2") as server:
        options = HttpOptions(
            url=server.url(host="target.example"),
            http_version="3",
            ca_pem=authority.pem,
            resolve={"target.example": ("127.0.0.1", "127.0.0.2")},
        )
        context = ProbeContext(timeout_ms=3000, guard=AddressGuard.of("127.0.0.1/32"))
        probe = HttpProbe()
        try:
            result = up(await probe.probe(options, context))
        finally:
            await probe.aclose()

    assert result.resolved_ip == "127.0.0.2"


async def test_the_certificate_of_http_3_is_verified() -> None:
    authority, another = Authority.new(), Authority.new()
    async with http3(authority.leaf()) as server:
        refused = await check(server.url(), http_version="3", ca_pem=another.pem)
        up(await check(server.url(), http_version="3", verify_tls=False))

    failure = failure_of(refused, ErrorType.TLS_UNTRUSTED)
    assert failure.message.startswith(f"the certificate of {server.shown} is not trusted: ")
    assert "unable to get local issuer certificate" in failure.message
    assert refused.facts["certificate"]["presented"] == 1


async def test_an_expired_certificate_is_told_over_quic() -> None:
    authority = Authority.new()
    async with http3(authority.expired_leaf()) as server:
        result = await check(server.url(), http_version="3", ca_pem=authority.pem)

    failure = failure_of(result, ErrorType.TLS_EXPIRED)
    assert failure.message == f"the certificate of {server.shown} has expired"


@pytest.mark.parametrize("host", ["localhost", HOST])
async def test_a_certificate_for_another_name_is_told_over_quic(host: str) -> None:
    authority = Authority.new()
    async with http3(authority.leaf("elsewhere.example")) as server:
        result = await check(server.url(host=host), http_version="3", ca_pem=authority.pem)

    failure = failure_of(result, ErrorType.TLS_HOSTNAME)
    assert failure.message == f"the certificate of {server.shown} is not valid for {host}"


@pytest.mark.parametrize(
    ("lowest", "highest", "protocol"),
    [("1.2", "1.2", "TLSv1.2"), ("1.3", None, "TLSv1.3"), (None, "1.2", "TLSv1.2")],
)
async def test_tls_is_kept_within_its_bounds(
    lowest: str | None, highest: str | None, protocol: str
) -> None:
    authority = Authority.new()
    tls = {"ca_pem": authority.pem, "min_version": lowest, "max_version": highest}
    async with serve(Site(), tls=authority.valid()) as server:
        result = up(await check(server.url(), tls=tls))

    assert result.facts["tls"]["protocol"] == protocol
    assert result.facts["certificate"]["presented"] >= 1


async def test_a_server_that_is_too_old_is_told_by_its_version() -> None:
    authority = Authority.new()
    context = authority.valid()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = {"ca_pem": authority.pem, "min_version": "1.3"}
    with alerting(context) as server:
        result = await check(server.url(), tls=tls)

    assert server.shown in failure_of(result, ErrorType.TLS_VERSION).message


@pytest.mark.parametrize(
    "wrong",
    [
        {"http_version": "3", "url": "http://target.example/"},
        {"http_version": "3", "proxy": "http://proxy.example:3128"},
        {"http_version": "4"},
    ],
)
def test_what_cannot_be_spoken_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"HTTP/3|http_version"):
        HttpOptions.model_validate({"url": "https://target.example/"} | wrong)
