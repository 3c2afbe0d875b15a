"""Does a monitor ask as whom it says, and does nobody else learn it?"""

import asyncio
import json
import ssl
from dataclasses import dataclass, field

import pytest
import trustme
from pydantic import ValidationError

from tests.support.blocking import alerting
from tests.support.certificates import Authority
from tests.support.http_checks import check, check_with, failure_of, up
from tests.support.servers import OK, Site, mute, read_request, refusing, response, serve
from uptimeo.domain.result import ErrorType, Outcome, Phase
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe

BASIC = {"kind": "basic", "username": "probe", "password": "wörd"}
BEARER = {"kind": "bearer", "token": "s3cret"}
DIGEST = {"kind": "digest", "username": "probe", "password": "word"}
UNAUTHORIZED = "401 Unauthorized"


@dataclass(slots=True)
class TokenServer:
    """Gives out numbered tokens that are good for some seconds."""

    lifetime: object = 3600
    delay_s: float = 0
    forms: list[bytes] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        self.forms.append(request.body)
        self.authorizations.append(request.header("authorization"))
        await asyncio.sleep(self.delay_s)
        given = {"access_token": f"token-{len(self.forms)}", "expires_in": self.lifetime}
        writer.write(response("200 OK", body=json.dumps(given).encode()))
        await writer.drain()


@dataclass(slots=True)
class Guarded:
    """A site that accepts one authorization and answers 401 to any other."""

    accepts: str
    received: list[str | None] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = (await read_request(reader)).header("authorization")
        self.received.append(given)
        writer.write(OK if given == self.accepts else response(UNAUTHORIZED))
        await writer.drain()


def oauth2(url: str, **more: str) -> dict[str, str]:
    secret = {"client_id": "probe", "client_secret": "s3cret:/"}
    return {"kind": "oauth2", "token_url": url} | secret | more


@pytest.mark.parametrize(
    ("auth", "sent"), [(BASIC, "Basic cHJvYmU6d8O2cmQ="), (BEARER, "Bearer s3cret")]
)
async def test_credentials_are_sent_and_not_shown(auth: dict[str, str], sent: str) -> None:
    site = Site()
    async with serve(site) as server:
        result = up(await check(server.url(), auth=auth))
        options = HttpOptions.model_validate({"url": server.url(), "auth": auth})

    assert site.received[0].header("authorization") == sent
    assert "s3cret" not in repr(options)
    assert "wörd" not in repr(options)
    assert result.exchange is not None
    assert ("Authorization", sent) in result.exchange.request_headers  # redacted when it is stored


async def test_credentials_stay_with_the_origin_that_they_are_for() -> None:
    there = Site()
    async with serve(there) as other:
        here = Site(pages={"/": response("302 Found", f"Location: {other.url()}")})
        async with serve(here) as server:
            up(await check(server.url(), auth=BEARER))

    assert there.received[0].header("authorization") is None


async def test_refused_credentials_are_told_as_such() -> None:
    async with serve(Site(pages={"/": response(UNAUTHORIZED)})) as server:
        result = await check(server.url(), auth=BASIC)

    failure = failure_of(result, ErrorType.AUTHENTICATION)
    assert (
        failure.message == f"{server.shown} did not accept the basic credentials: HTTP status 401"
    )


async def test_a_digest_challenge_is_answered_in_a_second_request() -> None:
    offer = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
    site = Site(pages={"/path?query=1": response(UNAUTHORIZED, offer)})
    async with serve(site) as server:
        result = await check(server.url("/path?query=1"), auth=DIGEST)

    # This server accepts nothing: the challenge is answered once, and not for ever.
    failure_of(result, ErrorType.AUTHENTICATION)
    first, second = (request.header("authorization") for request in site.received)
    assert first is None
    assert 'uri="/path?query=1"' in (second or "")
    assert [hop["status"] for hop in result.facts["hops"]] == [401, 401]
    assert result.phases.redirect is not None


async def test_an_oauth2_token_is_fetched_apart_and_kept() -> None:
    tokens, site = TokenServer(delay_s=0.2), Site()
    probe = HttpProbe()
    async with serve(tokens) as issuer, serve(site) as server:
        auth = oauth2(issuer.url("/token"), scope="read write")
        first = up(await check_with(probe, server.url(), auth=auth))
        second = up(await check_with(probe, server.url(), auth=auth))
    await probe.aclose()

    assert [request.header("authorization") for request in site.received] == ["Bearer token-1"] * 2
    assert tokens.forms == [b"grant_type=client_credentials&scope=read+write"]
    assert tokens.authorizations == ["Basic cHJvYmU6czNjcmV0JTNBJTJG"]
    assert first.facts["token_ms"] >= 195
    assert (first.total_ms or 0) < first.facts["token_ms"]
    assert "token_ms" not in second.facts


async def test_client_and_secret_can_be_sent_in_the_form() -> None:
    tokens = TokenServer()
    async with serve(tokens) as issuer, serve(Site()) as server:
        auth = oauth2(issuer.url(), credentials_in="body", audience="https://api.example")
        up(await check(server.url(), auth=auth))

    assert b"client_id=probe&client_secret=s3cret%3A%2F" in tokens.forms[0]
    assert b"audience=https%3A%2F%2Fapi.example" in tokens.forms[0]
    assert tokens.authorizations == [None]


async def test_a_token_is_fetched_again_when_it_has_expired() -> None:
    tokens, probe = TokenServer(lifetime="0"), HttpProbe()
    async with serve(tokens) as issuer, serve(Site()) as server:
        for _ in range(2):
            up(await check_with(probe, server.url(), auth=oauth2(issuer.url())))
    await probe.aclose()

    assert len(tokens.forms) == 2


async def test_a_token_that_was_revoked_is_replaced_within_the_check() -> None:
    tokens, site, probe = TokenServer(), Guarded("Bearer token-1"), HttpProbe()
    async with serve(tokens) as issuer, serve(site) as server:
        auth = oauth2(issuer.url())
        up(await check_with(probe, server.url(), auth=auth))
        site.accepts = "Bearer token-2"
        result = up(await check_with(probe, server.url(), auth=auth))
    await probe.aclose()

    assert [hop["status"] for hop in result.facts["hops"]] == [401, 200]


async def test_many_checks_share_one_request_for_a_token() -> None:
    tokens, probe = TokenServer(delay_s=0.05), HttpProbe()
    async with serve(tokens) as issuer, serve(Site()) as server:
        auth = oauth2(issuer.url())
        checks = (check_with(probe, server.url(), auth=auth) for _ in range(20))
        for result in await asyncio.gather(*checks):
            up(result)
    await probe.aclose()

    assert len(tokens.forms) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (response("400 Bad Request", body=b'{"error": "invalid_client"}'), "400, invalid_client"),
        (response("500 Oops", body=b"<html>"), "HTTP status 500"),
        (response("200 OK", body=b"{}"), "its answer has no access_token"),
        (response("200 OK", body=b'{"access_token": "a\\nb"}'), "has no access_token"),
        (response("200 OK", body=b"[" * 60_000), "has no access_token"),
        (response("200 OK", body=b"x" * 70_000), "larger than 65536 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", "did not answer in HTTP"),
    ],
)
async def test_an_answer_without_a_token_is_a_failure_of_its_own(answer: bytes, told: str) -> None:
    site = Site()
    async with serve(Site(pages={"/": answer})) as issuer, serve(site) as server:
        options = HttpOptions.model_validate({"url": server.url(), "auth": oauth2(issuer.url())})
        result = await HttpProbe().probe(options, ProbeContext(timeout_ms=2000))

    failure = failure_of(result, ErrorType.TOKEN)
    assert told in failure.message
    assert issuer.url() in failure.message
    assert "s3cret" not in failure.message
    assert result.outcome is Outcome.DOWN
    assert result.total_ms is None  # the target was not asked
    assert not site.received


async def test_a_token_server_that_is_gone_or_mute_fails_within_the_budget() -> None:
    with refusing() as gone:
        async with serve(mute) as silent, serve(Site()) as server:
            for issuer, word in ((gone, "refused"), (silent, "300 ms")):
                options = HttpOptions.model_validate(
                    {"url": server.url(), "auth": oauth2(issuer.url())}
                )
                result = await HttpProbe().probe(options, ProbeContext(timeout_ms=300))
                assert word in failure_of(result, ErrorType.TOKEN).message


async def test_a_client_certificate_is_shown_to_who_asks_for_one() -> None:
    authority = Authority.new()
    trusted = {"ca_pem": authority.pem}
    context = authority.valid()
    context.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(context)
    with alerting(context) as server:
        good = await check(server.url(), tls=trusted | {"client_pem": client(authority.ca)})
        none = await check(server.url(), tls=trusted)
        wrong = await check(server.url(), tls=trusted | {"client_pem": client(trustme.CA())})

    up(good)
    for result in (none, wrong):
        failure = failure_of(result, ErrorType.TLS_CLIENT_CERTIFICATE)
        assert server.shown in failure.message
        assert failure.phase in (Phase.TLS, Phase.WAIT)  # TLS 1.3 tells it with the answer


def client(ca: trustme.CA) -> str:
    made = ca.issue_cert("probe@client.example")
    return made.private_key_and_cert_chain_pem.bytes().decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": {"kind": "basic", "username": "a"}},
        {"auth": {"kind": "ntlm", "username": "a", "password": "b"}},
        {"auth": {"kind": "bearer", "token": "a\nb"}},
        {"auth": oauth2("ftp://issuer.example/")},
        {"auth": BASIC, "headers": {"authorization": "x"}},
        {"tls": {"client_pem": "-----BEGIN NONSENSE-----"}},
    ],
)
def test_wrong_credentials_are_refused_without_being_repeated(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        HttpOptions.model_validate({"url": "http://target.example/"} | wrong)

    assert "s3cret" not in str(refusal.value)
