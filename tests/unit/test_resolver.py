"""Does a name without an answer leave the others alone?"""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from uptimeo.probes.base import ErrorType
from uptimeo.probes.failing import TargetError
from uptimeo.probes.network.resolver import Address, Family, SystemResolver, literal

PATIENCE_S = 10


class Nameserver:
    """Lookups that wait in the C library until `go_on`, except for one good name."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[str] = []

    def ask(self, name: str, family: Family) -> tuple[Address, ...]:
        self.asked.append(name)
        if name != "good.test":
            self.go_on.wait(PATIENCE_S)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return (Address("192.0.2.7"),)


@pytest.fixture
def server() -> Iterator[Nameserver]:
    server = Nameserver()
    yield server
    server.go_on.set()


async def kind(resolver: SystemResolver, name: str, timeout_s: float = 0.01) -> ErrorType:
    with pytest.raises(TargetError) as caught:
        await resolver.resolve(name, Family.ANY, timeout_s)
    return caught.value.failure.type


async def test_a_good_name_is_answered_while_200_others_wait(server: Nameserver) -> None:
    resolver = SystemResolver(ask=server.ask)
    dead = [asyncio.create_task(kind(resolver, f"dead{n}.test", 0.5)) for n in range(200)]
    await asyncio.sleep(0)

    found = await resolver.resolve("good.test", Family.ANY, PATIENCE_S)

    assert found == (Address("192.0.2.7"),)
    assert resolver.lookups() == 200
    assert set(await asyncio.gather(*dead)) == {ErrorType.DNS_TIMEOUT}


async def test_a_name_without_an_answer_holds_only_so_many_threads(server: Nameserver) -> None:
    resolver = SystemResolver(ask=server.ask)

    kinds = [await kind(resolver, "dead.test") for _ in range(10)]

    assert set(kinds) == {ErrorType.DNS_TIMEOUT}
    assert resolver.lookups() == SystemResolver.PER_NAME


async def test_no_room_for_another_lookup_is_our_own_fault(server: Nameserver) -> None:
    resolver = SystemResolver(max_lookups=2, ask=server.ask)
    for name in ("a.test", "b.test"):
        await kind(resolver, name)

    assert await kind(resolver, "c.test") is ErrorType.RESOURCES


async def test_room_comes_back_when_the_system_has_given_up(server: Nameserver) -> None:
    resolver = SystemResolver(max_lookups=1, ask=server.ask)
    await kind(resolver, "dead.test")

    server.go_on.set()
    while resolver.lookups():
        await asyncio.sleep(0.001)

    assert await resolver.resolve("good.test", Family.ANY, PATIENCE_S)


async def test_what_the_system_says_is_told(server: Nameserver) -> None:
    server.go_on.set()

    with pytest.raises(TargetError, match=r"the name dead\.test cannot be resolved: Temporary"):
        await SystemResolver(ask=server.ask).resolve("dead.test", Family.ANY, PATIENCE_S)


async def test_an_address_is_its_own_answer_without_a_lookup(server: Nameserver) -> None:
    resolver = SystemResolver(ask=server.ask)

    assert await resolver.resolve("192.0.2.1", Family.ANY, 1) == (Address("192.0.2.1"),)
    assert await resolver.resolve("2001:DB8::1", Family.V6, 1) == (Address("2001:db8::1"),)
    assert not server.asked


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "a..test", "\ud800.test"])
async def test_what_cannot_be_a_host_name_is_a_dns_error(name: str) -> None:
    assert await kind(SystemResolver(), name, PATIENCE_S) is ErrorType.DNS


def test_only_plain_addresses_are_literal() -> None:
    assert literal("fe80::1%1") == Address("fe80::1", zone=1)
    assert literal("[::1]") == Address("::1")
    assert literal("0x7f.1") is None
    assert literal("127.0.0.1.") is None
