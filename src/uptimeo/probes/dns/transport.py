"""How does a question reach a DNS server, and its answer us: over UDP, TCP or TLS?"""

import asyncio
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.dns.messages import Answer, Query, TooLargeError, UnreadableError
from uptimeo.probes.failing import fail
from uptimeo.probes.network.addressing import Endpoint, resolve
from uptimeo.probes.network.arrival import ANCILLARY_BYTES, Arrival, arrival, stamp_arrivals
from uptimeo.probes.network.datagrams import connect_first, explain, reported
from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.network.resolver import Family
from uptimeo.probes.network.stream import Stream, open_stream
from uptimeo.probes.network.tls import TlsOptions
from uptimeo.probes.timeline import Timeline

Transport = Literal["udp", "tcp", "tls"]
# More than we say we take, for servers that do not listen; the rest of a longer one is cut off.
_DATAGRAM_BYTES = 4096
_QUICK_BYTES = 1500
_MOST_STRANGERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Whom to ask and how. One of the host's own (`trusted`) may have a forbidden address.

    `source` is an address of this host to ask from.
    """

    host: str
    port: int
    transport: Transport = "udp"
    family: Family = Family.ANY
    source: str | None = None
    tls: TlsOptions = field(default_factory=TlsOptions)
    trusted: bool = False

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint(host=self.host, port=self.port, family=self.family, source=self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An answer, the address it came from as messages name it, and how it came in the end."""

    answer: Answer
    at: str
    transport: Transport


def own_servers(config: Path = Path("/etc/resolv.conf")) -> list[str]:
    """Addresses of the servers that this host asks, in its order; empty if it names none."""
    try:
        lines = config.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]


async def ask(query: Query, server: Server, context: ProbeContext, timeline: Timeline) -> Asked:
    """The answer to one query; one that UDP has no room for is fetched again over TCP.

    Raises TargetError.
    """
    if server.trusted:
        context = replace(context, guard=AddressGuard())
    if server.transport != "udp":
        return await _ask_stream(query, server, context, timeline)
    found = await _ask_udp(query, server, context, timeline)
    if isinstance(found, Asked):
        return found
    return await _ask_stream(query, replace(found, transport="tcp"), context, timeline)


async def _ask_stream(
    query: Query, server: Server, context: ProbeContext, timeline: Timeline
) -> Asked:
    tls = server.tls if server.transport == "tls" else None
    async with open_stream(server.endpoint, context, timeline, tls) as stream:
        with timeline.phase(Phase.WAIT):
            wire = await _exchange(stream, query.wire)
        answer = await _whole_answer(query, wire, stream.at, context)
        return Asked(answer=answer, at=stream.at, transport=server.transport)


async def _exchange(stream: Stream, wire: bytes) -> bytes:
    await stream.send(len(wire).to_bytes(2, "big") + wire)
    size = int.from_bytes(await stream.read_exactly(2), "big")
    return await stream.read_exactly(size)


async def _whole_answer(query: Query, wire: bytes, at: str, context: ProbeContext) -> Answer:
    try:
        async with asyncio.timeout_at(context.deadline):
            answer = await _read(query, wire)
    except TimeoutError as error:
        text = f"the answer of {at}, {len(wire)} bytes, was not read within {context.timeout_ms} ms"
        raise fail(ErrorType.TRANSFER_TIMEOUT, text) from error
    except UnreadableError as error:
        raise fail(ErrorType.PROTOCOL, f"{at} sent {error}") from error
    except TooLargeError as error:
        raise fail(ErrorType.BODY_TOO_LARGE, f"{at} sent {error}") from error
    if answer is None:
        raise fail(ErrorType.PROTOCOL, f"{at} cuts its answer short over TCP too")
    return answer


async def _read(query: Query, wire: bytes) -> Answer | None:
    """In a thread if it is long: 64 KiB of the worst kind take a fifth of a second."""
    if len(wire) <= _QUICK_BYTES:
        return query.read(wire)
    return await asyncio.to_thread(query.read, wire)


async def _ask_udp(
    query: Query, server: Server, context: ProbeContext, timeline: Timeline
) -> Asked | Server:
    """The answer, or the server at its one address if the answer was cut short."""
    addresses = await resolve(server.host, context, timeline, server.family)
    opened, address = connect_first(addresses, server.endpoint, context)
    timeline.resolved_ip, at = address.ip, address.at(server.port)
    with opened:
        stamp_arrivals(opened)
        held = _Datagrams(opened, at, context)
        try:
            answer = await held.answer(query)
        finally:
            timeline.add(Phase.WAIT, held.waited_ms())
    if answer is None:
        return replace(server, host=address.ip)
    return Asked(answer=answer, at=at, transport="udp")


class _Datagrams:
    """The UDP socket of one query. What does not answer it is left out, and counted."""

    def __init__(self, opened: socket.socket, at: str, context: ProbeContext) -> None:
        self._socket = opened
        self._at = at
        self._context = context
        self._sent_at = perf_counter()
        self._arrival: Arrival | None = None
        self._strangers: list[str] = []

    def waited_ms(self) -> float:
        """From sending to the arrival of the answer, or to now."""
        came = self._arrival or Arrival(perf_counter())
        return came.since(self._sent_at) * 1000

    async def answer(self, query: Query) -> Answer | None:
        """Send the query; what the first datagram says that answers it. Raises TargetError."""
        try:
            self._sent_at = perf_counter()
            self._socket.send(query.wire)
            async with asyncio.timeout_at(self._context.deadline):
                return await self._matching(query)
        except TimeoutError as error:
            text = f"no answer from {self._at} within {self._context.timeout_ms} ms"
            raise fail(ErrorType.NO_REPLY, text + self._noted(), Phase.WAIT) from error
        except OSError as error:
            raise explain(error, self._at).within(Phase.WAIT) from error
        except TooLargeError as error:
            text = f"{self._at} sent {error}"
            raise fail(ErrorType.BODY_TOO_LARGE, text, Phase.WAIT) from error

    async def _matching(self, query: Query) -> Answer | None:
        while len(self._strangers) < _MOST_STRANGERS:
            await _readable(self._socket)
            try:
                wire, ancillary, _, _ = self._socket.recvmsg(_DATAGRAM_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:  # its checksum was wrong
                continue
            except OSError as error:
                raise reported(error, self._at).within(Phase.WAIT) from error
            came = arrival(ancillary)
            try:
                answer = await _read(query, wire)
            except UnreadableError as error:
                self._strangers.append(str(error))
            else:
                self._arrival = came
                return answer
        text = f"{self._at} does not answer the question"
        raise fail(ErrorType.UNEXPECTED, text + self._noted(), Phase.WAIT)

    def _noted(self) -> str:
        if not self._strangers:
            return ""
        return f"; it sent {len(self._strangers)} datagrams, the last being {self._strangers[-1]}"


async def _readable(opened: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(opened, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(opened)
