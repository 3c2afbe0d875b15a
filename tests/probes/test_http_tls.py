"""Is each fault of a certificate told apart, and is a good one accepted?"""

import ssl
from collections.abc import Callable

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Site, answering_then_reset, hanging_up, serve
from uptimeo.domain.result import ErrorType, Phase


async def test_a_private_ca_is_trusted_when_it_is_given() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        result = up(await check(server.url(host="localhost"), ca_pem=authority.pem))

    assert result.phases.tls is not None


@pytest.mark.parametrize("private", [False, True])
async def test_a_certificate_of_an_unknown_ca_is_untrusted(private: bool) -> None:
    another_ca = Authority.new().pem if private else None
    async with serve(Site(), tls=Authority.new().valid()) as server:
        result = await check(server.url(), ca_pem=another_ca)

    failure = failure_of(result, ErrorType.TLS_UNTRUSTED)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (Authority.expired, ErrorType.TLS_EXPIRED),
        (Authority.not_yet_valid, ErrorType.TLS_NOT_YET_VALID),
    ],
)
async def test_a_certificate_outside_its_dates_is_told_by_which_end(
    made: Callable[[Authority], ssl.SSLContext], expected: ErrorType
) -> None:
    authority = Authority.new()
    async with serve(Site(), tls=made(authority)) as server:
        result = await check(server.url(), ca_pem=authority.pem)

    failure = failure_of(result, expected)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_a_hostname_mismatch(host: str) -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid("elsewhere.example")) as server:
        result = await check(server.url(host=host), ca_pem=authority.pem)

    failure = failure_of(result, ErrorType.TLS_HOSTNAME)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message
    assert host in failure.message
    assert "[::1]" not in failure.message  # tried for localhost, but nobody listens there


@pytest.mark.parametrize("made", [Authority.valid, Authority.expired])
async def test_any_certificate_will_do_when_it_is_not_verified(
    made: Callable[[Authority], ssl.SSLContext],
) -> None:
    async with serve(Site(), tls=made(Authority.new())) as server:
        up(await check(server.url(), verify_tls=False))


async def test_a_plain_server_behind_an_https_url_is_a_tls_error() -> None:
    async with serve(hanging_up) as server:
        result = await check(server.url().replace("http", "https"))

    failure = failure_of(result, ErrorType.TLS)
    assert failure.phase is Phase.TLS
    assert server.shown in failure.message


async def test_a_server_without_a_common_protocol_version_is_a_tls_error() -> None:
    authority = Authority.new()
    only_old_ciphers = authority.valid()
    only_old_ciphers.maximum_version = ssl.TLSVersion.TLSv1_2
    only_old_ciphers.set_ciphers("PSK")
    async with serve(Site(), tls=only_old_ciphers) as server:
        result = await check(server.url(), ca_pem=authority.pem)

    assert failure_of(result, ErrorType.TLS).phase is Phase.TLS


async def test_a_reset_after_the_handshake_is_a_reset() -> None:
    authority = Authority.new()
    async with serve(answering_then_reset(), tls=authority.valid()) as server:
        result = await check(server.url(), ca_pem=authority.pem)

    failure = failure_of(result, ErrorType.CONNECTION_RESET)
    assert failure.phase is Phase.WAIT


async def test_a_session_is_not_resumed_by_the_next_check() -> None:
    authority = Authority.new()
    context = authority.valid()
    async with serve(Site(), tls=context) as server:
        for _ in range(3):
            up(await check(server.url(), ca_pem=authority.pem))

    assert context.session_stats()["hits"] == 0


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_revoked_certificate_is_told_if_a_list_is_given(revoked: bool) -> None:
    authority = Authority.new()
    context, lists = authority.revocable(revoked=revoked)
    async with serve(Site(), tls=context) as server:
        tls = {"ca_pem": authority.pem, "crl_pem": lists}
        result = await check(server.url(host="localhost"), tls=tls)

    if revoked:
        assert server.shown in failure_of(result, ErrorType.TLS_REVOKED).message
    else:
        up(result)
