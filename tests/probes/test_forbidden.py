"""Is a forbidden address left alone, whatever it is called and wherever it comes up?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.http_checks import failure_of, up
from tests.support.servers import HOST, Address, Site, response, serve
from uptimeo.probes.base import Address as Found
from uptimeo.probes.base import AddressGuard, ErrorType, Family, ProbeContext, ProbeResult
from uptimeo.probes.http import HttpOptions, HttpProbe

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost",
    "%6c%6fcalhost",
    "127%2e0%2e0%2e1",
    "user@127.0.0.1",
    "example.com@127.0.0.1",
    "0.0.0.0",
    "0",
    "0x0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[::]",
    "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
    "127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}1",
    "l\N{LATIN SMALL LETTER LONG S}ocalhost",
]


@dataclass(slots=True)
class Rebinding:
    """A resolver whose answer is another one each time."""

    answers: list[str] = field(default_factory=list)

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Found, ...]:
        return (Found(self.answers.pop(0)),)


@asynccontextmanager
async def counting(host: str) -> AsyncIterator[tuple[Address, list[str]]]:
    connections: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(str(writer.get_extra_info("peername")))

    async with serve(script, host=host) as server:
        yield server, connections


async def guarded(url: str, context: ProbeContext) -> ProbeResult:
    probe = HttpProbe()
    try:
        return await probe.probe(HttpOptions(url=url), context)
    finally:
        await probe.aclose()


def wary(networks: str = "default") -> ProbeContext:
    return ProbeContext(timeout_ms=2000, guard=AddressGuard.of(networks))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_this_host_is_connected_to(host: str, spelling: str) -> None:
    async with counting(host) as (server, connections):
        result = await guarded(f"http://{spelling}:{server.port}/", wary())

    assert result.failure is not None
    assert result.failure.type in (ErrorType.ADDRESS_FORBIDDEN, ErrorType.DNS)
    assert not connections


async def test_the_refusal_names_name_address_and_setting() -> None:
    failure = failure_of(await guarded("http://localhost:9/", wary()), ErrorType.ADDRESS_FORBIDDEN)

    assert failure.message.startswith(("localhost is 127.0.0.1,", "localhost is ::1,"))
    assert "UPTIMEO_FORBIDDEN_NETWORKS" in failure.message


async def test_a_redirect_to_a_forbidden_address_is_not_followed_there() -> None:
    async with counting("127.0.0.2") as (inner, connections):
        away = response("302 Found", f"Location: {inner.url()}")
        async with serve(Site(pages={"/": away})) as outer:
            result = await guarded(outer.url(), wary("127.0.0.2/32"))

    failure = failure_of(result, ErrorType.ADDRESS_FORBIDDEN)
    assert "127.0.0.2" in failure.message
    assert result.phases.redirect is not None
    assert not connections


async def test_a_name_that_turns_to_a_forbidden_address_between_two_hops_is_refused() -> None:
    site = Site()
    async with serve(site) as server:
        url = server.url("/next", host="rebinding.test")
        site.pages["/"] = response("302 Found", f"Location: {url}")
        context = ProbeContext(
            timeout_ms=2000,
            guard=AddressGuard.of("127.0.0.2/32"),
            resolver=Rebinding([HOST, "127.0.0.2"]),
        )
        result = await guarded(server.url(host="rebinding.test"), context)

    failure = failure_of(result, ErrorType.ADDRESS_FORBIDDEN)
    assert "rebinding.test is 127.0.0.2" in failure.message
    assert len(site.received) == 1


async def test_an_allowed_address_among_forbidden_ones_is_used() -> None:
    class Both:
        async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Found, ...]:
            return (Found("127.0.0.2"), Found(HOST))

    async with serve(Site()) as server:
        context = ProbeContext(
            timeout_ms=2000, guard=AddressGuard.of("127.0.0.2/32"), resolver=Both()
        )
        result = up(await guarded(server.url(host="both.test"), context))

    assert result.resolved_ip == HOST
