"""Does a check go through the proxy that its monitor names, and through no other?"""

from typing import Any

import pytest
from cryptography import x509

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, milliseconds, up
from tests.support.proxies import REFUSED, HttpProxy, SocksProxy
from tests.support.servers import Site, mute, refusing, response, serve
from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.base import Address, AddressGuard, Family, ProbeContext, fail, literal
from uptimeo.probes.http import HttpOptions, HttpProbe


async def test_a_plain_request_is_forwarded_by_an_http_proxy() -> None:
    proxy, site = HttpProxy(), Site()
    async with serve(site) as server, serve(proxy) as between:
        result = up(await check(server.url("/x"), proxy=between.url()))

    assert proxy.heads[0].startswith(f"GET {server.url('/x')} HTTP/1.1".encode())
    assert site.received[0].path == server.url("/x")
    assert "proxy" not in result.phases.own


async def test_a_tunnel_has_a_phase_of_its_own_apart_from_tls() -> None:
    authority, proxy = Authority.new(), HttpProxy(delay_s=0.3)
    async with serve(Site(), tls=authority.valid()) as server, serve(proxy) as between:
        result = up(await check(server.url(), proxy=between.url(), ca_pem=authority.pem))

    assert result.phases.own["proxy"] >= 295
    assert milliseconds(result.phases.tls) < 250
    assert result.exchange is not None
    assert result.exchange.header("x-proxy") is None  # what the proxy said is not the answer


async def test_an_https_proxy_is_verified_with_its_own_authority() -> None:
    authority, other = Authority.new(), Authority.new()
    proxy = HttpProxy()
    async with (
        serve(Site(), tls=authority.valid()) as server,
        serve(proxy, tls=other.valid()) as between,
    ):
        target: dict[str, Any] = {"proxy": between.url(), "ca_pem": authority.pem}
        good = await check(server.url(), **target, proxy_ca_pem=other.pem)
        bad = await check(server.url(), **target)

    assert up(good).facts["certificate"]["issuer"] == authority_name(authority)
    assert between.shown in failure_of(bad, ErrorType.PROXY).message


def authority_name(authority: Authority) -> str:
    return x509.load_pem_x509_certificate(authority.pem.encode()).subject.rfc4514_string()


@pytest.mark.parametrize(("scheme", "asked"), [("socks5", "127.0.0.1"), ("socks5h", "localhost")])
async def test_a_socks_proxy_gets_an_address_or_the_name(scheme: str, asked: str) -> None:
    proxy = SocksProxy()
    async with serve(Site()) as server, serve(proxy) as between:
        url = server.url(host="localhost")
        result = up(await check(url, proxy=f"{scheme}://{between.shown}", family="v4"))

    assert proxy.asked == [asked]
    assert result.phases.own["proxy"] > 0


async def test_user_and_password_go_to_the_proxy_alone() -> None:
    proxy, site = HttpProxy(), Site()
    authority = Authority.new()
    async with serve(site, tls=authority.valid()) as server, serve(proxy) as between:
        url = between.url(host="us%40er:word@127.0.0.1")
        up(await check(server.url(), proxy=url, ca_pem=authority.pem))

    assert b"Proxy-Authorization: Basic dXNAZXI6d29yZA==" in proxy.heads[0]
    assert site.received[0].header("proxy-authorization") is None


async def test_the_environment_names_the_proxy_only_if_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = HttpProxy()
    async with serve(Site()) as server, serve(proxy) as between:
        monkeypatch.setenv("http_proxy", between.url())
        monkeypatch.setenv("no_proxy", "")
        up(await check(server.url()))
        assert not proxy.heads
        up(await check(server.url(), proxy="environment"))
        assert len(proxy.heads) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        up(await check(server.url(), proxy="environment"))
        assert len(proxy.heads) == 1


async def test_a_proxy_that_refuses_is_told_from_a_target_that_does() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        async with serve(HttpProxy(refusal=REFUSED)) as between:
            refused = await check(server.url(), proxy=between.url())
        async with serve(SocksProxy(code=5)) as socks:
            unreachable = await check(server.url(), proxy=f"socks5://{socks.shown}")
        async with serve(mute) as silent:
            late = await check(server.url(), proxy=silent.url(), timeout_ms=300)
        with refusing() as closed:
            gone = await check(server.url(), proxy=closed.url())
            lost = await check(server.url(), proxy="http://nothing.invalid:3128")

    for result, told, phase in (
        (refused, "407", "proxy"),
        (unreachable, "127.0.0.1", "proxy"),
        (late, "300 ms", "proxy"),
        (gone, f"connection refused by the proxy {closed.url()[:-1]}", Phase.CONNECT),
        (lost, "nothing.invalid", Phase.DNS),
    ):
        failure = failure_of(result, ErrorType.PROXY)
        assert told in failure.message
        assert failure.phase == phase


async def test_a_proxy_is_connected_to_only_where_the_guard_allows() -> None:
    proxy = HttpProxy()
    async with serve(Site()) as server, serve(proxy, host="127.0.0.2") as between:
        guard = AddressGuard.of("127.0.0.2/32")
        options = HttpOptions(url=server.url(), proxy=between.url())
        result = await HttpProbe().probe(options, ProbeContext(timeout_ms=2000, guard=guard))

    assert "127.0.0.2" in failure_of(result, ErrorType.ADDRESS_FORBIDDEN).message
    assert not proxy.heads


@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "[::ffff:169.254.169.254]"])
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
async def test_a_proxy_is_not_told_to_connect_to_a_forbidden_address(
    host: str, scheme: str
) -> None:
    proxy = HttpProxy()
    async with serve(proxy) as between:
        options = HttpOptions(url=f"http://{host}/", proxy=f"{scheme}://{between.shown}")
        context = ProbeContext(timeout_ms=2000, guard=AddressGuard.of("169.254.0.0/16"))
        result = await HttpProbe().probe(options, context)

    failure_of(result, ErrorType.ADDRESS_FORBIDDEN)
    assert not proxy.heads


class Known:
    """A resolver that knows these names and no others."""

    def __init__(self, **names: tuple[str, ...]) -> None:
        self._names = names
        self.asked: list[str] = []

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        self.asked.append(name)
        if (known := literal(name)) is not None:
            return (known,)
        if name not in self._names:
            raise fail(ErrorType.DNS, f"no such name: {name}")
        return tuple(Address(ip) for ip in self._names[name])


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("url", ["http://inner/", "https://inner/"])
@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("203.0.113.9", "::ffff:a9fe:a9fe")])
async def test_a_proxy_is_not_told_a_name_that_has_a_forbidden_address_here(
    scheme: str, url: str, addresses: tuple[str, ...]
) -> None:
    proxy: HttpProxy | SocksProxy = SocksProxy() if scheme == "socks5h" else HttpProxy()
    async with serve(proxy) as between:
        options = HttpOptions(url=url, proxy=f"{scheme}://{between.shown}")
        guard, resolver = AddressGuard.of("169.254.0.0/16"), Known(inner=addresses)
        context = ProbeContext(timeout_ms=2000, guard=guard, resolver=resolver)
        result = await HttpProbe().probe(options, context)

    assert "inner is" in failure_of(result, ErrorType.ADDRESS_FORBIDDEN).message
    assert not (proxy.asked if isinstance(proxy, SocksProxy) else proxy.heads)


async def test_a_name_that_only_the_proxy_knows_is_the_proxys_to_find() -> None:
    proxy = HttpProxy(refusal=response("200 OK"))
    async with serve(proxy) as between:
        options = HttpOptions(url="http://inner/", proxy=between.url())
        guard, resolver = AddressGuard.of("169.254.0.0/16"), Known()
        context = ProbeContext(timeout_ms=2000, guard=guard, resolver=resolver)
        result = up(await HttpProbe().probe(options, context))

    assert proxy.heads[0].startswith(b"GET http://inner/ ")
    assert result.phases.dns is None


async def test_names_for_a_proxy_are_not_looked_up_where_nothing_is_forbidden() -> None:
    proxy, resolver = HttpProxy(refusal=response("200 OK")), Known(inner=("203.0.113.9",))
    async with serve(proxy) as between:
        options = HttpOptions(url="http://inner/", proxy=between.url())
        context = ProbeContext(timeout_ms=2000, resolver=resolver)
        up(await HttpProbe().probe(options, context))

    assert "inner" not in resolver.asked


async def test_names_that_a_socks_proxy_gets_as_addresses_are_guarded() -> None:
    proxy = SocksProxy()
    async with serve(proxy) as between:
        options = HttpOptions(
            url="http://inner.test/",
            proxy=f"socks5://{between.shown}",
            resolve={"inner.test": "127.0.0.9"},
        )
        context = ProbeContext(timeout_ms=2000, guard=AddressGuard.of("127.0.0.9/32"))
        result = await HttpProbe().probe(options, context)

    assert "inner.test is 127.0.0.9" in failure_of(result, ErrorType.ADDRESS_FORBIDDEN).message
    assert not proxy.asked


async def test_an_answer_through_a_proxy_is_told_by_both_addresses() -> None:
    async with serve(Site(pages={})) as server, serve(HttpProxy()) as between:
        result = await check(server.url(), proxy=between.url(), expected_status="204")

    message = failure_of(result, ErrorType.HTTP_STATUS).message
    assert f"{server.shown} through the proxy {between.shown}" in message


async def test_a_redirect_goes_through_the_proxy_as_well() -> None:
    proxy = HttpProxy()
    site = Site()
    async with serve(site) as server, serve(proxy) as between:
        site.pages[server.url("/")] = response("302 Found", f"Location: {server.url('/end')}")
        up(await check(server.url(), proxy=between.url()))

    assert len(proxy.heads) == 2


@pytest.mark.parametrize(
    "proxy",
    ["127.0.0.1:3128", "ftp://h:1", "http://", "http://h:0", "http://h/path", "http://a b:1"],
)
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy"):
        HttpOptions(url="http://target.example/", proxy=proxy)
