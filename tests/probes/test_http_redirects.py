"""Are redirects followed as RFC 9110 says, within their cap, and without leaking credentials?"""

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, milliseconds, up
from tests.support.servers import Site, answering, refusing, response, serve
from uptimeo.domain.result import ErrorType, Phase

SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "a=b", "X-Api-Key": "k"}


def moved(status: int, location: str) -> bytes:
    return response(f"{status} Moved", f"Location: {location}")


@pytest.mark.parametrize(
    "location", ["/end", "end", "?to=end", "//{host}/end", "http://{host}/end"]
)
async def test_relative_and_absolute_locations_are_followed(location: str) -> None:
    site = Site()
    async with serve(site) as server:
        site.pages["/"] = moved(302, location.format(host=server.shown))
        result = up(await check(server.url()))

    assert "end" in site.received[-1].path
    assert len(site.received) == 2
    assert result.phases.redirect is not None
    assert result.exchange is not None
    assert result.exchange.status_code == 200


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_becomes_a_get_without_its_body(status: int) -> None:
    site = Site(pages={"/": moved(status, "/end")})
    async with serve(site) as server:
        up(await check(server.url(), method="POST", body={"a": 1}, headers={"X-Kept": "yes"}))

    first, last = site.received
    assert (first.method, first.body) == ("POST", b'{"a": 1}')
    assert (last.method, last.body) == ("GET", b"")
    assert last.header("content-type") is None
    assert last.header("x-kept") == "yes"


@pytest.mark.parametrize("status", [307, 308])
async def test_method_and_body_are_kept(status: int) -> None:
    site = Site(pages={"/": moved(status, "/end")})
    async with serve(site) as server:
        up(await check(server.url(), method="POST", body={"a": 1}))

    last = site.received[-1]
    assert (last.path, last.method, last.body) == ("/end", "POST", b'{"a": 1}')
    assert last.header("content-type") == "application/json"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_head_request_stays_one(status: int) -> None:
    site = Site(pages={"/": moved(status, "/end")})
    async with serve(site) as server:
        up(await check(server.url(), method="HEAD"))

    assert [request.method for request in site.received] == ["HEAD", "HEAD"]


async def test_credentials_are_kept_within_an_origin() -> None:
    site = Site(pages={"/": moved(302, "/end")})
    async with serve(site) as server:
        up(await check(server.url(), headers=SECRETS))

    last = site.received[-1]
    assert {name: last.header(name.lower()) for name in SECRETS} == SECRETS


async def test_user_and_password_of_the_url_are_kept_within_an_origin() -> None:
    site = Site(pages={"/": moved(302, "/end")})
    async with serve(site) as server:
        up(await check(server.url(host=f"user:word@{server.host}")))

    first, last = [request.header("authorization") for request in site.received]
    assert first is not None
    assert last == first


async def test_credentials_stay_behind_when_the_port_changes() -> None:
    there = Site()
    async with serve(there) as other:
        here = Site(pages={"/": moved(307, other.url("/end"))})
        async with serve(here) as server:
            url = server.url(host=f"user:word@{server.host}")
            up(await check(url, headers={"X-Plain": "yes", "Host": "here.example"}))
            up(await check(server.url(), headers=SECRETS | {"X-Plain": "yes"}))

    for request in there.received:
        assert all(request.header(name.lower()) is None for name in SECRETS)
        assert request.header("x-plain") == "yes"
        assert request.header("host") == other.shown


async def test_a_redirect_from_http_to_https_has_the_phases_of_the_last_hop() -> None:
    authority = Authority.new()
    site = Site()
    async with serve(Site(), tls=authority.valid()) as secure, serve(site) as plain:
        site.pages["/"] = moved(301, secure.url())
        result = up(await check(plain.url(), ca_pem=authority.pem))

    assert milliseconds(result.phases.redirect) > 0
    assert milliseconds(result.phases.tls) > 0


async def test_a_failure_after_a_redirect_still_holds_the_time_of_the_earlier_hops() -> None:
    with refusing() as closed:
        site = Site(pages={"/": moved(302, closed.url())}, delays={"/": 0.2})
        async with serve(site) as server:
            result = await check(server.url())

    failure = failure_of(result, ErrorType.CONNECT_REFUSED)
    assert closed.shown in failure.message
    assert milliseconds(result.phases.redirect) >= 198
    assert [phase for phase, _ in result.phases.measured()] == [Phase.REDIRECT, Phase.CONNECT]


async def test_all_hops_share_one_budget() -> None:
    site = Site(
        pages={"/": moved(302, "/second"), "/second": moved(302, "/third")},
        delays={"/": 0.15, "/second": 0.15, "/third": 5},
    )
    async with serve(site) as server:
        result = await check(server.url(), timeout_ms=500)

    failure_of(result, ErrorType.FIRST_BYTE_TIMEOUT)
    assert milliseconds(result.phases.redirect) >= 296
    assert milliseconds(result.phases.wait) < 250


async def test_an_endless_loop_ends_at_the_cap() -> None:
    site = Site(pages={"/": moved(302, "/")})
    async with serve(site) as server:
        result = await check(server.url(), max_redirects=4)

    failure = failure_of(result, ErrorType.TOO_MANY_REDIRECTS)
    assert "4 redirects" in failure.message
    assert server.shown in failure.message
    assert len(site.received) == 5


async def test_exactly_as_many_redirects_as_allowed_are_followed() -> None:
    site = Site(pages={"/": moved(302, "/1"), "/1": moved(302, "/2")})
    async with serve(site) as server:
        up(await check(server.url(), max_redirects=2))


async def test_a_redirect_is_an_answer_when_none_shall_be_followed() -> None:
    site = Site(pages={"/": moved(302, "/end")})
    async with serve(site) as server:
        up(await check(server.url(), follow_redirects=False, expected_status="302"))
        result = await check(server.url(), follow_redirects=False)

    failure_of(result, ErrorType.HTTP_STATUS)
    assert result.phases.redirect is None


@pytest.mark.parametrize(
    "location",
    [
        b"ftp://127.0.0.1/",
        b"file:///etc/passwd",
        b"javascript:alert(1)",
        b"http://",
        b"http://[::1/",
        b"http://[v1.x]/",
        b"http://127.0.0.1:0/",
        b"http://127.0.0.1:99999/",
        b"http://two words.invalid/",
        b"http://a\xef\xbc\x8fb.invalid/",
    ],
)
async def test_a_location_that_is_no_http_url_is_refused(location: bytes) -> None:
    page = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    async with serve(answering(page)) as server:
        result = await check(server.url())

    failure_of(result, ErrorType.REDIRECT_REFUSED)


async def test_foreign_bytes_in_a_location_are_the_targets_fault() -> None:
    page = b"HTTP/1.1 302 Found\r\nLocation: http://\xff.invalid/\r\nContent-Length: 0\r\n\r\n"
    async with serve(answering(page)) as server:
        result = await check(server.url())

    failure_of(result, ErrorType.DNS)


async def test_a_location_is_shown_without_its_secrets() -> None:
    site = Site(pages={"/": moved(302, "http://user:word@127.0.0.1:1/x?token=s3cret")})
    async with serve(site) as server:
        result = await check(server.url(), max_redirects=0)

    message = failure_of(result, ErrorType.TOO_MANY_REDIRECTS).message
    assert "127.0.0.1:1/x" in message
    assert "word" not in message
    assert "s3cret" not in message
