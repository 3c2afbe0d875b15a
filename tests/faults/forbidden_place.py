"""Where is it seen whether anybody connects to a forbidden address? A network namespace of our own.

In it all of these addresses are its own, so that whatever is sent there arrives: at one listener
for TCP and one for UDP, which note the address, and before that at iptables, which counts.

    203.0.113.10 the public site, 203.0.113.11 refuses, 203.0.113.53 the DNS server
"""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import dns.message

from tests.support.dns_server import reply
from tests.support.servers import read_request, response, serve
from tests.support.wires import entered, run
from uptimeo.probes.network.guard import AddressGuard

PUBLIC, REFUSING, RESOLVER = "203.0.113.10", "203.0.113.11", "203.0.113.53"
PUBLIC6 = "2001:db8:113::10"
PORT = 8080
_LOCAL4 = ("203.0.113.0/24", "169.254.0.0/16")
_LOCAL6 = (
    *("2001:db8:113::/64", "fd00:ec2::/64", "fd20:ce::/64", "fec0::/64"),
    *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96"),
)
_COUNTED4 = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")
_COUNTED6 = (
    *("::1/128", "::/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128"),
    *("fd20:ce::254/128", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"),
    "::ffff:0:0:0/96",
)
# Of its own accord IPv6 tells its neighbours that it is there.
_NEIGHBOURLY = ("-p", "icmpv6", "!", "--icmpv6-type", "echo-request")
_HEARING = ("127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254")
_RESOLV = "nameserver {}\noptions timeout:1 attempts:1\n"


class Place:
    """The namespace. Use it through `place`, which removes it again."""

    def __init__(self) -> None:
        self._name = f"uptimeo-forbidden-{os.getpid()}-{secrets.token_hex(2)}"
        self._etc = Path("/etc/netns", self._name)
        self.wrap = ("ip", "netns", "exec", self._name)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In here, this thread's new sockets and child processes are there."""
        with entered(self._name):
            yield

    def make(self) -> None:
        """Make it: addresses, counters, and its own resolver."""
        run("ip", "netns", "add", self._name)
        self._etc.mkdir(parents=True)
        (self._etc / "resolv.conf").write_text(_RESOLV.format(RESOLVER))
        (self._etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        run("ip", "-n", self._name, "link", "set", "lo", "up")
        run("ip", "-n", self._name, "address", "add", "fd00:ec2::254/128", "dev", "lo")
        for network in _LOCAL4:
            run("ip", "-n", self._name, "route", "add", "local", network, "dev", "lo")
        for network in _LOCAL6:
            run("ip", "-n", self._name, "-6", "route", "add", "local", network, "dev", "lo")
        refuse = ("-p", "tcp", "-d", REFUSING, "-j", "REJECT", "--reject-with", "tcp-reset")
        run(*self.wrap, "iptables", "-w", "-A", "INPUT", *refuse)
        run(*self.wrap, "ip6tables", "-w", "-A", "OUTPUT", *_NEIGHBOURLY, "-j", "ACCEPT")
        for program, networks in (("iptables", _COUNTED4), ("ip6tables", _COUNTED6)):
            for network in networks:
                run(*self.wrap, program, "-w", "-A", "OUTPUT", "-d", network, "-j", "ACCEPT")

    def packets(self) -> dict[str, int]:
        """How many packets were sent to each forbidden network."""
        found: dict[str, int] = {}
        for program in ("iptables", "ip6tables"):
            shown = self._output(program, "-w", "-L", "OUTPUT", "-v", "-x", "-n")
            rows = [line.split() for line in shown.splitlines()[2:]]
            found |= {row[-1]: int(row[0]) for row in rows if row[-1] in (*_COUNTED4, *_COUNTED6)}
            found |= {
                f"{row[-1]}/128": int(row[0]) for row in rows if f"{row[-1]}/128" in _COUNTED6
            }
        return found

    def forget(self) -> None:
        """Set the counters to nothing."""
        for program in ("iptables", "ip6tables"):
            run(*self.wrap, program, "-w", "-Z", "OUTPUT")

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self._etc, ignore_errors=True)
        with suppress(OSError):
            self._etc.parent.rmdir()
        with suppress(subprocess.CalledProcessError):
            run("ip", "netns", "delete", self._name)

    def _output(self, *command: str) -> str:
        full = (*self.wrap, *command)
        return subprocess.run(full, check=True, capture_output=True, text=True, timeout=10).stdout


@contextmanager
def place() -> Iterator[Place]:
    """A namespace that is gone afterwards. Raises OSError or CalledProcessError without one."""
    made = Place()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@dataclass(slots=True)
class Listeners:
    """What listens there: whom it heard from is not asked, only under which address.

    `told` are the hosts that it was told as a proxy, but the public one.
    """

    redirects: list[str]
    heard: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    queries: int = 0
    _turns: "count[int]" = field(default_factory=count)

    def forbidden(self) -> list[str]:
        """The addresses at which somebody was heard although it is forbidden."""
        guard = AddressGuard.of("default")
        return [address for address in self.heard if guard.refusal(address) is not None]

    async def site(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Redirects by number; anything else it takes and answers in HTTP."""
        self.heard.append(str(writer.get_extra_info("sockname")[0]))
        request = await read_request(reader)
        path = request.path
        as_proxy = request.method == "CONNECT" or path.startswith("http://")
        if as_proxy and PUBLIC not in path:
            self.told.append(path)
        if path.startswith("/to/"):
            status = ("301 Moved", "302 Found", "307 Temporary", "308 Permanent")[
                next(self._turns) % 4
            ]
            away = self.redirects[int(path.removeprefix("/to/"))]
            writer.write(response(status, f"Location: {away}"))
        else:
            writer.write(response("200 OK", body=b"ok"))

    def take(self, wire: bytes) -> bytes:
        """What the DNS server says."""
        query = dns.message.from_wire(wire)
        self.queries += 1
        name, kind = query.question[0].name.to_text(), query.question[0].rdtype
        records = _ZONE.get((name, {1: "A", 28: "AAAA", 6: "SOA"}.get(kind, "")), ())
        if name == "rebinding.test." and kind == 1:
            records = (f"A {PUBLIC}",) if next(self._turns) % 2 else ("A 127.0.0.1",)
        return reply(query, *(_record(name, each) for each in records))


def _record(name: str, text: str) -> str:
    owner, arrow, rest = text.partition(" <- ")
    return f"{owner if arrow else name} 0 IN {rest if arrow else text}"


_ZONE: dict[tuple[str, str], tuple[str, ...]] = {
    ("public.test.", "A"): (f"A {PUBLIC}",),
    ("soa.test.", "SOA"): ("SOA a. b. 1 1 1 1 1",),
    ("mixed.test.", "A"): (f"A {REFUSING}", "A 127.0.0.1", "A 169.254.169.254"),
    ("mixed6.test.", "A"): (f"A {REFUSING}",),
    ("mixed6.test.", "AAAA"): ("AAAA ::1", "AAAA fd00:ec2::254"),
    ("cname.test.", "A"): ("CNAME inner.test.", "inner.test. <- A 127.0.0.1"),
    ("chain.test.", "A"): (
        *("CNAME one.test.", "one.test. <- CNAME two.test."),
        "two.test. <- A 169.254.169.254",
    ),
    ("mapped.test.", "AAAA"): ("AAAA ::ffff:127.0.0.1",),
    ("nat64.test.", "AAAA"): ("AAAA 64:ff9b::7f00:1",),
    ("sixtofour.test.", "AAAA"): ("AAAA 2002:7f00:1::",),
    ("metadata.test.", "A"): ("A 169.254.169.254",),
    ("loop6.test.", "AAAA"): ("AAAA ::1",),
    ("zero.test.", "A"): ("A 0.0.0.0",),
    ("unicode.test.", "A"): ("CNAME localhost.", "localhost. <- A 127.0.0.1"),
}


@asynccontextmanager
async def listening(redirects: list[str]) -> AsyncIterator[Listeners]:
    """All that listens, in the namespace in which this is entered."""
    made = Listeners(redirects)
    loop = asyncio.get_running_loop()
    protocols: list[tuple[str, int, asyncio.DatagramProtocol]] = [
        *((address, 53, _Resolver(made)) for address in (RESOLVER, PUBLIC)),
        *((address, PORT, _Heard(made, address)) for address in _HEARING),
    ]
    async with AsyncExitStack() as stack:
        for host in ("0.0.0.0", "::"):
            await stack.enter_async_context(serve(made.site, host=host, port=PORT))
        for address, port, protocol in protocols:
            transport, _ = await loop.create_datagram_endpoint(
                partial(_same, protocol), (address, port)
            )
            stack.callback(transport.close)
        yield made


def _same(protocol: asyncio.DatagramProtocol) -> asyncio.DatagramProtocol:
    return protocol


class _Resolver(asyncio.DatagramProtocol):
    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(self._listeners.take(data), addr)


class _Heard(asyncio.DatagramProtocol):
    def __init__(self, listeners: Listeners, address: str) -> None:
        self._listeners = listeners
        self._address = address

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._listeners.heard.append(self._address)


def missing() -> str | None:
    """Why this machine cannot have such a place, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not socket.has_ipv6:
        return "this host has no IPv6"
    for program in ("ip", "iptables", "ip6tables"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        with place() as tried:
            tried.packets()
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"
    except OSError as error:
        return str(error)
    return None
