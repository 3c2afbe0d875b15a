"""Which addresses has a name? By the host's own resolver, without one name waiting for another.

Each lookup has a thread of its own: a pool, also the one inside libcurl, is full as soon as its
size in names is asked that no server answers for, and then every other name waits with them.
"""

import _thread
import asyncio
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from uptimeo.domain.result import ErrorType, Failure, Phase
from uptimeo.probes.failing import TargetError


class Family(StrEnum):
    """Which kind of address is wanted. With v4 no AAAA query leaves the host, and vice versa."""

    V4 = "v4"
    V6 = "v6"
    ANY = "any"


_FAMILIES = {
    Family.V4: socket.AF_INET,
    Family.V6: socket.AF_INET6,
    Family.ANY: socket.AF_UNSPEC,
}
_NO_SUCH_NAME = {
    code for code in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)) if code is not None
}


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a name; `zone` is the interface of a link-local IPv6 address, or 0."""

    ip: str
    zone: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET6 for an address with colons."""
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    def at(self, port: int) -> str:
        """How messages name it with a port."""
        return f"[{self.ip}]:{port}" if ":" in self.ip else f"{self.ip}:{port}"


Lookup = Callable[[str, Family], tuple[Address, ...]]


class Resolver(Protocol):
    """How the agents of a datacenter find addresses."""

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        """The addresses in the order in which to try them; at least one.

        Raises TargetError (dns_error, dns_timeout), and one of our own faults if the agent has no
        room for another lookup.
        """


def literal(name: str) -> Address | None:
    """The address that a name is itself, as in a URL: no lookup is needed."""
    text, _, zone = name.strip("[]").partition("%")
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    return Address(str(ip), _zone(zone))


class SystemResolver:
    """`getaddrinfo`, with a thread for each lookup and a bound on their number.

    A thread lasts until the C library gives up, which may be half a minute after the check has
    timed out. So that a dead name cannot take all of them, at most `PER_NAME` ask for the same
    one; a further check waits for the youngest of these.
    """

    PER_NAME = 4

    def __init__(self, max_lookups: int = 1000, ask: Lookup | None = None) -> None:
        self._max = max_lookups
        self._ask = ask or system_lookup
        self._running: dict[tuple[str, Family], list[asyncio.Future[tuple[Address, ...]]]] = {}

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        """As `Resolver` says; a name that is an address is its own answer, at once."""
        if (known := literal(name)) is not None:
            return _of_family((known,), name, family)
        running = self._running.get((name, family), [])
        answer = running[-1] if len(running) >= self.PER_NAME else self._start(name, family)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            text = f"no answer to the name lookup of {name} within {timeout_s * 1000:.0f} ms"
            raise _error(ErrorType.DNS_TIMEOUT, text) from error
        except (OSError, UnicodeError) as error:
            raise _refused(name, error) from error
        finally:
            # Its error holds this frame by the traceback: a cycle, if the frame held it too.
            del answer

    def lookups(self) -> int:
        """How many are under way, those that nobody waits for any more included."""
        return sum(map(len, self._running.values()))

    def _start(self, name: str, family: Family) -> "asyncio.Future[tuple[Address, ...]]":
        if self.lookups() >= self._max:
            text = f"{self._max} name lookups are without an answer: {name} was not looked up"
            raise _error(ErrorType.RESOURCES, text)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Address, ...]] = loop.create_future()
        # Nobody may be left to hear of a failure; asyncio would complain of that.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

        def look_up() -> None:
            found: tuple[Address, ...] | Exception
            try:
                found = self._ask(name, family)
            except (OSError, UnicodeError) as error:
                # Without this thread's frames: they hold the answer, which will hold the error.
                found = error.with_traceback(None)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._settle, (name, family), answer, found)

        try:
            # A `threading.Thread` makes its starter wait until it runs: 30 ms for 200 of them.
            _thread.start_new_thread(look_up, ())
        except RuntimeError as error:
            text = f"the agent could not start a thread to look up {name}: {error}"
            raise _error(ErrorType.RESOURCES, text) from error
        self._running.setdefault((name, family), []).append(answer)
        return answer

    def _settle(
        self,
        key: tuple[str, Family],
        answer: "asyncio.Future[tuple[Address, ...]]",
        found: tuple[Address, ...] | Exception,
    ) -> None:
        self._running[key].remove(answer)
        if not self._running[key]:
            del self._running[key]
        if answer.cancelled():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)


def system_lookup(name: str, family: Family) -> tuple[Address, ...]:
    """What the C library answers; blocks. Raises OSError, and UnicodeError for no host name."""
    found = socket.getaddrinfo(name, None, _FAMILIES[family], socket.SOCK_STREAM)
    return tuple(
        dict.fromkeys(
            Address(str(where[0]).partition("%")[0], int(where[3]) if len(where) > 3 else 0)
            for _, _, _, _, where in found
        )
    )


def _of_family(known: tuple[Address, ...], name: str, family: Family) -> tuple[Address, ...]:
    kept = tuple(a for a in known if family is Family.ANY or a.family is _FAMILIES[family])
    if not kept:
        raise _error(ErrorType.DNS, f"{name} is no address of the wanted family {family}")
    return kept


def _refused(name: str, error: OSError | UnicodeError) -> TargetError:
    if isinstance(error, UnicodeError):
        return _error(ErrorType.DNS, f"{name!r} cannot be looked up: it is no host name")
    kind = ErrorType.DNS
    if error.errno == socket.EAI_MEMORY:
        kind = ErrorType.RESOURCES
    reason = "no such name" if error.errno in _NO_SUCH_NAME else str(error.strerror or error)
    return _error(kind, f"the name {name} cannot be resolved: {reason}")


def _error(kind: ErrorType, text: str) -> TargetError:
    return TargetError(Failure(type=kind, message=text, phase=Phase.DNS))


def _zone(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return socket.if_nametoindex(text) if text else 0
    except (OSError, ValueError):  # the latter for a NUL
        return 0
