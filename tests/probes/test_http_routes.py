"""Does a check connect where its monitor says, by which family and from where?"""

import asyncio

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Site, refusing, response, serve
from uptimeo.domain.result import ErrorType, Outcome
from uptimeo.probes.http import HttpOptions


async def test_a_name_is_resolved_as_the_monitor_says() -> None:
    site = Site()
    async with serve(site) as server:
        given = {"shop.test": "127.0.0.1"}
        result = up(await check(server.url(host="shop.test"), resolve=given))

    assert site.received[0].header("host") == f"shop.test:{server.port}"
    assert result.phases.dns is None
    assert result.resolved_ip == "127.0.0.1"


async def test_a_connection_goes_elsewhere_and_the_rest_stays() -> None:
    authority, site = Authority.new(), Site()
    async with serve(site, tls=authority.valid("shop.test")) as server:
        up(
            await check(
                "https://shop.test/x",
                connect_to={"shop.test:443": f"localhost:{server.port}"},
                ca_pem=authority.pem,
            )
        )

    assert site.received[0].header("host") == "shop.test"
    assert site.received[0].path == "/x"


async def test_overrides_hold_for_redirects_too() -> None:
    there = Site()
    async with serve(there) as other:
        here = Site(pages={"/": response("302 Found", "Location: http://other.test/end")})
        async with serve(here) as server:
            to = {"first.test": server.shown, "other.test": other.shown}
            up(await check("http://first.test/", connect_to=to))

    assert there.received[0].header("host") == "other.test"


async def test_the_server_name_is_sent_and_verified_instead_of_the_host() -> None:
    authority, site, asked = Authority.new(), Site(), []
    context = authority.valid("inner.test")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with serve(site, tls=context) as server:
        site.pages["/"] = response("302 Found", "Location: /end")
        tls = {"server_name": "inner.test", "ca_pem": authority.pem}
        result = up(await check(server.url(host="localhost"), tls=tls))
        wrong = await check(server.url(), tls=tls | {"server_name": "other.test"})

    assert asked == ["inner.test", "inner.test", "other.test"]
    hosts = [request.header("host") for request in site.received]
    assert hosts == [f"localhost:{server.port}"] * 2
    assert result.facts["hops"][1]["url"] == server.url("/end", host="localhost")
    assert "other.test" in failure_of(wrong, ErrorType.TLS_HOSTNAME).message


@pytest.mark.parametrize(("family", "ip"), [("v4", "127.0.0.1"), ("v6", "::1")])
async def test_one_family_is_tried_alone(family: str, ip: str) -> None:
    async with serve(Site(), host=ip) as server:
        names = {"both.test": ["127.0.0.1", "::1"]}
        url = server.url(host="both.test")
        result = up(await check(url, family=family, resolve=names))

    assert result.resolved_ip == ip


@pytest.mark.parametrize(("family", "ip"), [("v6", "127.0.0.1"), ("v4", "::1")])
async def test_an_address_of_the_other_family_is_not_tried(family: str, ip: str) -> None:
    with refusing() as nobody:
        host = f"[{ip}]" if ":" in ip else ip
        result = await check(nobody.url(host=host), family=family)

    assert family in failure_of(result, ErrorType.DNS).message


async def test_both_families_are_two_results_and_one_failure_says_which() -> None:
    async with serve(Site(), host="127.0.0.1") as server:
        names = {"both.test": ["127.0.0.1", "::1"]}
        url = server.url(host="both.test")
        half = await check(url, family="both", resolve=names)
        whole = await check(url, family="both", resolve={"both.test": ["127.0.0.1"]})

    failure = failure_of(half, ErrorType.CONNECT_REFUSED)
    assert failure.message.startswith(f"by v6: connection refused by [::1]:{server.port}")
    assert failure.message.endswith("by v4 it is up")
    families = half.facts["families"]
    assert (families["v4"]["outcome"], families["v4"]["status"]) == ("up", 200)
    assert (families["v6"]["outcome"], families["v6"]["error_type"]) == ("down", "connect_refused")
    failure_of(whole, ErrorType.DNS)


async def test_both_families_up_is_up() -> None:
    async with (
        serve(Site(), host="127.0.0.1") as four,
        serve(Site(), host="::1", port=four.port) as six,
    ):
        names = {"both.test": ["127.0.0.1", "::1"]}
        result = up(await check(six.url(host="both.test"), family="both", resolve=names))

    assert {name: each["ip"] for name, each in result.facts["families"].items()} == {
        "v4": "127.0.0.1",
        "v6": "::1",
    }


async def test_a_check_leaves_from_its_source_address() -> None:
    peers = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await Site()(reader, writer)

    async with serve(script) as server:
        up(await check(server.url(), source="127.0.0.7"))
        result = await check(server.url(), source="203.0.113.77")

    assert peers == ["127.0.0.7"]
    assert "203.0.113.77" in failure_of(result, ErrorType.MISCONFIGURED).message
    assert result.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test", "xn--bcher-kva.test"),
        ("b%C3%BCcher.test", "xn--bcher-kva.test"),
        ("straße.test", "xn--strae-oqa.test"),
        ("日本。test", "xn--wgv71a.test"),
    ],
)
async def test_a_name_in_any_script_is_asked_for_in_punycode(host: str, name: str) -> None:
    site = Site()
    async with serve(site) as server:
        up(await check(server.url(host=host), resolve={name: "127.0.0.1"}))
        redirect = response("302 Found", f"Location: http://{host}:{server.port}/end")
        async with serve(Site(pages={"/": redirect})) as first:
            up(await check(first.url(), resolve={name: "127.0.0.1"}))

    assert [each.header("host") for each in site.received] == [f"{name}:{server.port}"] * 2


async def test_a_certificate_for_a_name_in_punycode_is_good() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid("xn--bcher-kva.test")) as server:
        url = server.url(host="bücher.test")
        up(await check(url, resolve={"bücher.test": "127.0.0.1"}, ca_pem=authority.pem))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://\N{COMBINING ACUTE ACCENT}.test/"},
        {"family": "v5"},
        {"source": "eth0"},
        {"source": "127.0.0.1", "family": "both"},
        {"resolve": {"shop.test": "not an address"}},
        {"connect_to": {"shop.test": "a/b"}},
        {"connect_to": {"": "h:1"}},
        {"connect_to": {"shop.test": "h:0"}},
        {"tls": {"alpn": ["h2"]}},
        {"tls": {"min_version": "1.3", "max_version": "1.2"}},
    ],
    ids=repr,
)
def test_what_names_no_place_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        HttpOptions.model_validate({"url": "https://target.example/"} | wrong)
