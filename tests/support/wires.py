"""What lies between a ping and its target? A router that loses, refuses and narrows.

Three network namespaces of our own; nothing of it is seen outside:

    agent 10.214.1.2 --- 10.214.1.1 router 10.214.2.1 --- 10.214.2.2 target
    agent fd14:1::2  --- fd14:1::1  router fd14:2::1  --- fd14:2::2  target

The target answers for all of 10.214.3.0/24 and 10.214.4.0/24 too. The link to it is narrower than
the one before: 1300 bytes.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AGENT, ROUTER, TARGET = "10.214.1.2", "10.214.1.1", "10.214.2.2"
AGENT6, ROUTER6, TARGET6 = "fd14:1::2", "fd14:1::1", "fd14:2::2"
MTU = 1300
_CLONE_NEWNET = 0x40000000
GROUPS = Path("/proc/sys/net/ipv4/ping_group_range")


class Wire:
    """The way from the agent to the target. Use it through `wire`, which removes it again."""

    def __init__(self) -> None:
        stem = f"uptimeo-wire-{os.getpid()}-{secrets.token_hex(2)}"
        self._names = {each: f"{stem}-{each}" for each in ("agent", "router", "target")}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In here, this thread's new sockets and child processes are where the agent is."""
        with entered(self._names["agent"]):
            yield

    @contextmanager
    def rule(self, where: str, *rule: str) -> Iterator[None]:
        """A rule of iptables in that namespace, such as `"router", "FORWARD", "-j", "DROP"`."""
        program = (
            "ip6tables" if any("icmp6" in word or ":" in word for word in rule) else "iptables"
        )
        tables = ("ip", "netns", "exec", self._names[where], program, "-w")
        run(*tables, "-I", *rule)
        try:
            yield
        finally:
            run(*tables, "-D", *rule)

    @contextmanager
    def ping_groups(self, groups: str) -> Iterator[None]:
        """Let these groups, such as `"0 65535"`, ping without privileges where the agent is."""
        with self.inside():
            before = GROUPS.read_text()
            GROUPS.write_text(groups)
        try:
            yield
        finally:
            with self.inside():
                GROUPS.write_text(before)

    def make(self) -> None:
        """Make the namespaces, links and routes."""
        agent, router, target = self._names.values()
        for name in self._names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        _join(router, (f"{ROUTER}/24", f"{ROUTER6}/64"), agent, (f"{AGENT}/24", f"{AGENT6}/64"))
        _join(router, ("10.214.2.1/24", "fd14:2::1/64"), target, (f"{TARGET}/24", f"{TARGET6}/64"))
        for name, gateway, gateway6 in (
            (agent, ROUTER, ROUTER6),
            (target, "10.214.2.1", "fd14:2::1"),
        ):
            run("ip", "-n", name, "route", "add", "default", "via", gateway)
            run("ip", "-n", name, "-6", "route", "add", "default", "via", gateway6)
        for name, link in ((router, f"to-{target[-6:]}"), (target, "eth0")):
            run("ip", "-n", name, "link", "set", link, "mtu", str(MTU))
        for many in ("10.214.3.0/24", "10.214.4.0/24"):
            run("ip", "-n", router, "route", "add", many, "via", TARGET)
            run("ip", "-n", target, "route", "add", "local", many, "dev", "lo")
        with entered(router):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
            for limit in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
                Path(f"/proc/sys/net/{limit}").write_text("0")

    def remove(self) -> None:
        """Remove them."""
        for name in self._names.values():
            with suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", name)


@contextmanager
def wire() -> Iterator[Wire]:
    """A wire that is gone afterwards, whatever happened."""
    made = Wire()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def missing() -> str | None:
    """Why this machine cannot have a wire, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables", "ip6tables"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        with wire() as tried, tried.rule("router", "FORWARD", "-d", TARGET, "-j", "DROP"):
            return None
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"
    except OSError as error:
        return str(error)


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """In here, this thread's new sockets and child processes are in that namespace."""
    with Path("/proc/thread-self/ns/net").open() as before:
        with Path("/run/netns", namespace).open() as wanted:
            _enter(wanted.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def run(*command: str) -> None:
    """Run to the end. Raises CalledProcessError with what it said."""
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _join(hub: str, near: tuple[str, ...], leaf: str, far: tuple[str, ...]) -> None:
    link = f"to-{leaf[-6:]}"
    run("ip", "-n", hub, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", leaf)
    for name, device, addresses in ((hub, link, near), (leaf, "eth0", far)):
        for address in addresses:
            once = ("nodad",) if ":" in address else ()
            run("ip", "-n", name, "address", "add", address, "dev", device, *once)
        run("ip", "-n", name, "link", "set", device, "up")
