"""What lies between the agents, the database and the targets? A network that can be cut.

Three network namespaces of our own; nothing of it is seen outside:

    agent-a 10.213.1.2 --- 10.213.1.1 [hub] 10.213.2.1 --- 10.213.2.2 agent-b
    (which forwards, so that the agents reach each other)
                 in the hub: 10.213.0.1 database, .2 targets, .3 and .4 references

Packets are dropped where they arrive, so that the sender sees what it would see of a dead link:
nothing.
"""

import asyncio
import ctypes
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from psycopg import sql

from tests.faults.installation import Installation, installation
from tests.faults.report import SkipFault
from tests.faults.target import Target
from tests.support.agents import Running
from tests.support.servers import read_request, response, serve

AGENTS = ("agent-a", "agent-b")
DATABASE, TARGET = "10.213.0.1", "10.213.0.2"
REFERENCES = ("10.213.0.3", "10.213.0.4")
_ADDRESSES = {"agent-a": "10.213.1.2", "agent-b": "10.213.2.2"}
_GATEWAYS = {"agent-a": "10.213.1.1", "agent-b": "10.213.2.1"}
_PREFIX = "uptimeo-faults-"
_NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000


class Way(Enum):
    """Which packets are lost, as the agent sees it."""

    IN = "in"
    OUT = "out"
    BOTH = "both"


class Network:
    """The two agents' links to the hub. Use it through `network`, which removes it again."""

    def __init__(self) -> None:
        self._hub = f"{_PREFIX}{os.getpid()}-hub"
        self._names = {agent: f"{_PREFIX}{os.getpid()}-{agent}" for agent in AGENTS}

    def wrap(self, agent: str) -> tuple[str, ...]:
        """What to put before a command that runs where the agent is."""
        return ("ip", "netns", "exec", self._names[agent])

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In here, this thread's new sockets and child processes are in the hub."""
        with Path("/proc/thread-self/ns/net").open() as before:
            with (_NAMED / self._hub).open() as hub:
                _enter(hub.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def address(self, agent: str) -> str:
        """The agent's own address."""
        return _ADDRESSES[agent]

    def agent_at(self, address: str) -> str:
        """Whose address that is."""
        return next(agent for agent, own in _ADDRESSES.items() if own == address)

    def cut(self, agent: str, way: Way = Way.BOTH, *, host: str = DATABASE) -> None:
        """Lose every packet between the agent and that host; all others pass."""
        self._drop(agent, way, host)

    def part(self) -> None:
        """Lose every packet between the two agents, until both are healed."""
        for agent, peer in (AGENTS, AGENTS[::-1]):
            self._drop(agent, Way.IN, _ADDRESSES[peer])

    def lose(self, agent: str, share: float) -> None:
        """Lose that share of the packets between the agent and the database, each way."""
        chance = ("-m", "statistic", "--mode", "random", "--probability", str(share))
        self._drop(agent, Way.BOTH, DATABASE, *chance)

    def isolate(self, agent: str, *, routeless: bool = False) -> None:
        """Leave the agent nothing but the database: in silence, or without a route to the rest."""
        if not routeless:
            self._tables(agent, "-A", "INPUT", "!", "-s", DATABASE, "-j", "DROP")
            return
        route = ("ip", "-n", self._names[agent], "route")
        _run(*route, "add", DATABASE, "via", _GATEWAYS[agent])
        _run(*route, "delete", "default")

    def unplug(self, agent: str) -> None:
        """Take the agent's interface down."""
        _run("ip", "-n", self._names[agent], "link", "set", "eth0", "down")

    def heal(self, agent: str) -> None:
        """Undo every fault of the agent's link."""
        self._tables(agent, "-F", "INPUT")
        _run("ip", "netns", "exec", self._hub, "iptables", "-w", "-F", agent)
        self._plug(agent)

    def make(self) -> None:
        """Make the namespaces and their links."""
        _sweep()
        for name in (self._hub, *self._names.values()):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        for address in (DATABASE, TARGET, *REFERENCES):
            _run("ip", "-n", self._hub, "address", "add", f"{address}/32", "dev", "lo")
        for agent in AGENTS:
            self._join(agent)
        # The agents reach each other through the hub.
        _run("ip", "netns", "exec", self._hub, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def remove(self) -> None:
        """Remove them; what still runs inside loses its links."""
        for agent in AGENTS:
            with suppress(subprocess.CalledProcessError):
                _run("ip", "-n", self._hub, "link", "delete", agent)
        for name in (*self._names.values(), self._hub):
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "delete", name)

    def _join(self, agent: str) -> None:
        name, hub = self._names[agent], ("ip", "-n", self._hub)
        _run(*hub, "link", "add", agent, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run(*hub, "address", "add", f"{_GATEWAYS[agent]}/30", "dev", agent)
        _run(*hub, "link", "set", agent, "up")
        _run("ip", "-n", name, "address", "add", f"{_ADDRESSES[agent]}/30", "dev", "eth0")
        self._plug(agent)
        tables = ("ip", "netns", "exec", self._hub, "iptables", "-w")
        _run(*tables, "-N", agent)
        _run(*tables, "-A", "INPUT", "-i", agent, "-j", agent)

    def _plug(self, agent: str) -> None:
        name = self._names[agent]
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        _run("ip", "-n", name, "route", "replace", "default", "via", _GATEWAYS[agent])
        _run("ip", "-n", name, "route", "flush", "exact", DATABASE)

    def _drop(self, agent: str, way: Way, host: str, *which: str) -> None:
        if way is not Way.IN:
            hub = ("ip", "netns", "exec", self._hub, "iptables", "-w")
            _run(*hub, "-A", agent, "-d", host, *which, "-j", "DROP")
        if way is not Way.OUT:
            self._tables(agent, "-A", "INPUT", "-s", host, *which, "-j", "DROP")

    def _tables(self, agent: str, *rule: str) -> None:
        _run(*self.wrap(agent), "iptables", "-w", *rule)


@contextmanager
def network() -> Iterator[Network]:
    """A network that is gone afterwards, whatever happened."""
    made = Network()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def missing() -> str | None:
    """Why this machine cannot have such a network, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        with network() as tried:
            tried.lose(AGENTS[0], 0.5)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _sweep() -> None:
    """Remove what a killed run left behind."""
    for path in _NAMED.glob(f"{_PREFIX}*"):
        found = re.match(rf"{_PREFIX}(\d+)-", path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "delete", path.name)


@dataclass(frozen=True, slots=True)
class Visit:
    """A check as the target saw it; its number went back with the answer (`response_server`)."""

    number: int
    address: str
    monitor: int
    at: float


class Witness:
    """A target that answers 200, knows who asked, and numbers its answers."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at, address = time.time(), writer.get_extra_info("peername")[0]
        monitor = int((await read_request(reader)).path.strip("/"))
        number = len(self.visits)
        self.visits.append(Visit(number, address, monitor, at))
        writer.write(response("200 OK", f"Server: {number}", body=b"ok"))


@asynccontextmanager
async def witnessed(place: Installation, host: str) -> AsyncIterator[Witness]:
    """Let a witness on that address be the target of the monitors that are added from now on."""
    witness = Witness()
    async with serve(witness, host=host) as address:
        place.target = Target(address)
        yield witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """An installation whose agents reach it over links that can be cut."""

    place: Installation
    network: Network
    witness: Witness
    dsn: str

    def agent(self, name: str, **environment: str) -> AbstractAsyncContextManager[Running]:
        """A running agent at its end of its link."""
        given = {"DB_CONN_STRING": self.dsn, **environment}
        return self.place.agent(name, wrap=self.network.wrap(name), **given)


@asynccontextmanager
async def divided() -> AsyncIterator[Divided]:
    """An installation in the hub, with a witness as its target.

    Raises SkipFault where there can be no such network.
    """
    if (why := missing()) is not None:
        raise SkipFault(why)
    password = secrets.token_urlsafe(16)
    with network() as links:
        async with AsyncExitStack() as stack:
            with links.inside():
                place = await stack.enter_async_context(
                    installation(
                        options=(f"listen_addresses={DATABASE}", "fsync=off"),
                        hba=("host all sre 10.213.0.0/16 scram-sha-256",),
                    )
                )
                witness = await stack.enter_async_context(witnessed(place, TARGET))
            async with await place.connect() as connection:
                create = sql.SQL("CREATE ROLE sre LOGIN SUPERUSER PASSWORD {}")
                await connection.execute(create.format(sql.Literal(password)))
            yield Divided(
                place=place,
                network=links,
                witness=witness,
                dsn=f"postgresql://sre:{password}@{DATABASE}/uptimeo",
            )
