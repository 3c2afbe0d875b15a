"""Whatever a URL says, is it refused as a row, or does its check end by an error of its target?"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.servers import answering, serve
from uptimeo.domain.result import OUR_FAULTS, ErrorType, Failure
from uptimeo.probes.base import Address, AddressGuard, Family, ProbeContext, SystemResolver
from uptimeo.probes.http import HttpOptions
from uptimeo.probes.registry import ProbeRegistry

# `dns` without a host asks the servers of this one, so that its URLs here all have one.
FORMS = {
    "http": ("http://{}/", "https://{}/", "http:{}", "{}"),
    "tcp": ("tcp://{}:1", "tcp://{}", "{}"),
    "tls": ("tls://{}", "{}"),
    "smtp": ("smtp://{}", "{}"),
    "ping": ("ping://{}", "{}"),
    "dns": ("dns://127.0.0.1{}/a.test", "dns://a{}/a.test", "dns://127.0.0.1/{}"),
    "ws": ("ws://{}/", "wss://{}", "{}"),
    "grpc": ("grpc://{}", "grpcs://{}/a", "{}"),
    "sql": ("postgresql://u@{}/b", "postgresql://{}", "{}"),
}
PIECES = st.one_of(
    st.sampled_from(
        [
            *("127.0.0.1", "127.1", "0x7f.1", "localhost", "a.test", "::1", "fe80::1", "xn--a"),
            *("[::1]", "[", "]", "[v1.x]", "[::1%25lo]", "%25", "%", "%zz", "%00", "%0a", "%2f"),
            *(":", ":80", ":0", ":99999", ":-1", ":a", "::", "@", "user:word@", "/", "//", "\\"),
            *("?", "#", "?type=A", "&", ";", ".", "..", " ", "-", "_", "a" * 70, "a." * 130),
            *("\N{FULLWIDTH SOLIDUS}", "\N{FULLWIDTH DIGIT ONE}", "\N{SOFT HYPHEN}"),
            *("\N{LATIN SMALL LETTER SHARP S}", "\N{COMBINING ACUTE ACCENT}", "\N{BULLET}"),
            *("\N{ZERO WIDTH JOINER}", "\N{RIGHT-TO-LEFT OVERRIDE}", "http:", "https://", "\t"),
            *("us%00er@", "%C3%A9:%FF@", ":%0d%0a@"),
        ]
    ),
    st.text(max_size=5),
)
TEXTS = st.lists(PIECES, min_size=1, max_size=5).map("".join)
HERE = "127.0.0.9"
NOWHERE = AddressGuard.of("0.0.0.0/0, ::/0")
ONLY_HERE = AddressGuard(
    (
        *ipaddress.IPv4Network("0.0.0.0/0").address_exclude(ipaddress.IPv4Network(HERE)),
        ipaddress.ip_network("::/0"),
    )
)


def numeric(name: str, family: Family) -> tuple[Address, ...]:
    """As the C library reads a name, without asking anybody; one that is a name has an address."""
    try:
        found = socket.getaddrinfo(name, None, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return (Address("127.0.0.1"),)
    return tuple(Address(str(where[0]).partition("%")[0]) for *_, where in found)


@dataclass(frozen=True, slots=True)
class Checks:
    """Runs checks one after the other, on one loop and with the same probes."""

    runner: asyncio.Runner
    registry: ProbeRegistry

    def ended(self, kind: str, url: str, **options: object) -> Failure | None:
        """How a check ends that may connect to nobody; None if there is no such monitor."""
        try:
            return self.runner.run(self.check(kind, url, NOWHERE, **options))
        except ValidationError:
            return None

    async def check(
        self, kind: str, url: str, guard: AddressGuard, **options: object
    ) -> Failure | None:
        """How one check ends. Raises ValidationError."""
        probe = self.registry.get(kind)
        assert probe is not None
        row = probe.options.model_validate({"url": url, **options})
        context = ProbeContext(timeout_ms=2000, guard=guard, resolver=SystemResolver(ask=numeric))
        return (await probe.probe(row, context)).failure


@pytest.fixture(scope="module")
def checks() -> Iterator[Checks]:
    with asyncio.Runner() as runner:
        made = Checks(runner, ProbeRegistry.installed())
        yield made
        runner.run(made.registry.aclose())


@pytest.mark.parametrize("kind", FORMS)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_url_leads_to_a_fault_of_ours(checks: Checks, kind: str, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(FORMS[kind]))
    failure = checks.ended(kind, form.replace("{}", data.draw(TEXTS)))

    assert failure is None or failure.type in (ErrorType.ADDRESS_FORBIDDEN, ErrorType.DNS)


@given(text=TEXTS, scheme=st.sampled_from(["http", "https", "socks5", "socks5h"]))
@settings(deadline=None)
def test_no_proxy_leads_to_a_fault_of_ours(checks: Checks, text: str, scheme: str) -> None:
    failure = checks.ended("http", "http://a.test/", proxy=f"{scheme}://{text}")

    ends = (ErrorType.ADDRESS_FORBIDDEN, ErrorType.PROXY)
    assert failure is None or failure.type in ends


@given(text=TEXTS, option=st.sampled_from(["server_name", "connect_to", "resolve"]))
@settings(deadline=None)
def test_no_other_place_leads_to_a_fault_of_ours(checks: Checks, text: str, option: str) -> None:
    options: dict[str, dict[str, object]] = {
        "server_name": {"tls": {"server_name": text}},
        "connect_to": {"connect_to": {"a.test": text}},
        "resolve": {"resolve": {text: "127.0.0.1"}},
    }
    failure = checks.ended("http", "https://a.test/", **options[option])

    assert failure is None or failure.type in (ErrorType.ADDRESS_FORBIDDEN, ErrorType.DNS)


@given(text=TEXTS)
@settings(deadline=None)
def test_no_place_of_tokens_leads_to_a_fault_of_ours(checks: Checks, text: str) -> None:
    auth = {"kind": "oauth2", "client_id": "a", "client_secret": "b"}
    token = {"auth": auth | {"token_url": f"http://{text}"}}
    failure = checks.ended("http", "http://a.test/", **token)

    assert failure is None or failure.type is ErrorType.TOKEN


@given(text=TEXTS, form=st.sampled_from(["http://{}/", "//{}", "{}"]))
@settings(deadline=None)
def test_no_redirect_leads_to_a_fault_of_ours(checks: Checks, text: str, form: str) -> None:
    away = form.replace("{}", text).replace("\r", "").replace("\n", "")
    head = f"HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n"
    page = head.encode("utf-8", "replace")

    async def redirected() -> Failure | None:
        async with serve(answering(page), host=HERE) as server:
            return await checks.check("http", server.url(), ONLY_HERE)

    failure = checks.runner.run(redirected())

    assert failure is not None
    assert failure.type not in OUR_FAULTS


@pytest.mark.parametrize(
    "url",
    [
        "http://a@203.0.113.10@127.0.0.1:8080/",
        "http://203.0.113.10[::1]:8080/",
        "http://[v1.x]/",
        "http://a b.test/",
    ],
)
def test_a_url_that_libcurl_takes_for_none_is_refused_as_a_row(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        HttpOptions(url=url)
