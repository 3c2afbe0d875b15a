"""Is the version of HTTP and of TLS that is wanted the one that is spoken?"""

import ssl

import pytest

from tests.support.blocking import alerting
from tests.support.certificates import Authority
from tests.support.http2 import http2
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Site, serve
from uptimeo.domain.result import ErrorType
from uptimeo.probes.http import HttpOptions


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


async def test_http_3_is_not_found_where_nobody_speaks_it() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        result = await check(server.url(), http_version="3", ca_pem=authority.pem, timeout_ms=1000)

    assert result.failure is not None
    assert server.shown in result.failure.message
    assert result.failure.type in (
        ErrorType.CONNECT_REFUSED,
        ErrorType.CONNECT,
        ErrorType.CONNECT_TIMEOUT,
    )


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
