"""What of a check is kept beside its figures, and when?"""

import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Site, refusing, response, serve
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe


async def checked(probe: HttpProbe, options: HttpOptions) -> ProbeResult:
    return await probe.probe(options, ProbeContext(timeout_ms=3000))


async def test_a_plain_check_has_nothing_to_add() -> None:
    async with serve(Site()) as server:
        assert up(await check(server.url())).facts == {}


async def test_the_certificate_is_told_once_and_again_when_it_changes() -> None:
    authority, probe = Authority.new(), HttpProbe()
    first, second = authority.valid(), authority.valid()
    async with serve(Site(), tls=first) as server:
        options = HttpOptions(url=server.url(), ca_pem=authority.pem)
        seen = [up(await checked(probe, options)).facts for _ in range(2)]
    for context in (first, second):
        async with serve(Site(), tls=context, port=server.port):
            seen += [up(await checked(probe, options)).facts for _ in range(2)]
    await probe.aclose()

    assert ["certificate" in facts for facts in seen] == [True, False, False, False, True, False]
    assert seen[0]["certificate"]["fingerprint"] != seen[4]["certificate"]["fingerprint"]


async def test_two_monitors_of_one_server_tell_its_certificate_each() -> None:
    authority, probe = Authority.new(), HttpProbe()
    async with serve(Site(), tls=authority.valid()) as server:
        monitors = [HttpOptions(url=server.url(), ca_pem=authority.pem) for _ in range(2)]
        results = [up(await checked(probe, options)) for options in monitors]
    await probe.aclose()

    assert all("certificate" in result.facts for result in results)


async def test_a_certificate_is_known_with_its_chain() -> None:
    root = trustme.CA()
    between = root.create_child_ca()
    leaf = between.issue_cert("localhost", not_after=datetime(4000, 1, 1, tzinfo=UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    async with serve(Site(), tls=context) as server:
        pem = root.cert_pem.bytes().decode()
        facts = up(await check(server.url(host="localhost"), ca_pem=pem)).facts

    certificate = facts["certificate"]
    assert certificate["names"] == ["localhost"]
    assert len(certificate["fingerprint"]) == 64
    assert certificate["leaf_expires"].startswith("4000-01-01")
    assert certificate["chain_expires"].startswith("3000-01-01")
    assert certificate["presented"] == 2
    assert facts["tls"]["protocol"] == "TLSv1.3"
    assert facts["tls"]["cipher"].startswith("TLS_")


async def test_a_refused_certificate_is_told_each_time_without_a_verified_chain() -> None:
    authority, probe = Authority.new(), HttpProbe()
    async with serve(Site(), tls=authority.expired()) as server:
        options = HttpOptions(url=server.url(), ca_pem=authority.pem)
        results = [await checked(probe, options) for _ in range(2)]
    await probe.aclose()

    for result in results:
        failure_of(result, ErrorType.TLS_EXPIRED)
        assert result.facts["certificate"]["leaf_expires"] < datetime.now(UTC).isoformat()
        assert result.facts["certificate"]["chain_expires"] is None


@pytest.mark.parametrize("last", ["/end", None])
async def test_every_hop_is_kept_without_its_secrets(last: str | None) -> None:
    site = Site()
    with refusing() as closed:
        async with serve(site) as server:
            end = last or closed.url("/end")
            site.pages["/?token=s3cret"] = response("302 Found", f"Location: {end}")
            site.pages["/"] = site.pages["/?token=s3cret"]
            url = server.url("/?token=s3cret", host=f"user:word@{server.host}")
            result = await check(url)

    first, second = result.facts["hops"]
    assert first["url"] == server.url("/")
    assert (first["status"], first["ip"]) == (302, "127.0.0.1")
    assert first["phases"].keys() == {"connect", "send", "wait", "transfer"}
    assert second["status"] == (200 if last else None)
    assert "s3cret" not in str(result.facts)
    assert "word" not in str(result.facts)


async def cookies_of(*answers: str, **options: Any) -> list[set[str]]:
    """The cookies of each request, when each answer but the last sets one and redirects."""
    site = Site()
    async with serve(site) as server:
        site.pages = {
            f"/{number}": response("302 Found", f"Location: /{number + 1}", f"Set-Cookie: {cookie}")
            for number, cookie in enumerate(answers)
        }
        up(await check(server.url("/0"), **options))
    given = [request.header("cookie") or "" for request in site.received]
    return [set(filter(None, cookies.split("; "))) for cookies in given]


async def test_cookies_are_sent_along_within_one_check() -> None:
    assert await cookies_of("a=1", "b=2") == [set(), {"a=1"}, {"a=1", "b=2"}]


async def test_cookies_are_left_where_they_do_not_belong() -> None:
    foreign = ["a=1; Domain=other.example", "b=2; Path=/elsewhere"]
    assert await cookies_of(*foreign) == [set()] * 3


async def test_no_cookie_is_sent_if_none_is_wanted() -> None:
    assert await cookies_of("a=1", cookies=False) == [set(), set()]


async def test_cookies_do_not_outlive_their_check() -> None:
    probe, site = HttpProbe(), Site(pages={"/": response("200 OK", "Set-Cookie: a=1")})
    async with serve(site) as server:
        options = HttpOptions(url=server.url())
        for _ in range(2):
            up(await checked(probe, options))
    await probe.aclose()

    assert [request.header("cookie") for request in site.received] == [None, None]
