"""What becomes of a handful of echo requests: which reply belongs to which, and how late is it?"""

import asyncio
import secrets
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from uptimeo.probes.ping.packets import Complaint, Echo
from uptimeo.probes.ping.socket import EchoSocket, Reply

TOKEN_BYTES = 16
# Reading a packet takes the loop 10 µs, which all checks share.
MOST_STRAYS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VolleyPlan:
    """How many requests of how many bytes are sent how often, and how long replies are awaited.

    `reply_timeout_ms` counts from the last request; None waits to the deadline.
    """

    count: int
    interval_ms: int
    size: int
    reply_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoFacts:
    """What came of the requests; times in ms, None where too few replies came for one.

    Jitter is the mean difference between one reply's time and the next one's.
    """

    sent: int
    received: int
    times_ms: tuple[float, ...]
    duplicates: int
    damaged: int
    raw_socket: bool

    @property
    def lost_percent(self) -> float:
        """The share of the requests that were not answered."""
        return 100 * (self.sent - self.received) / self.sent if self.sent else 100.0

    @property
    def average_ms(self) -> float | None:
        """What the thresholds of a monitor judge."""
        return fmean(self.times_ms) if self.times_ms else None

    def as_facts(self) -> dict[str, Any]:
        """The fact `ping`."""
        times = self.times_ms
        steps = [abs(after - before) for before, after in pairwise(times)]
        found: dict[str, Any] = {
            "sent": self.sent,
            "received": self.received,
            "loss_percent": self.lost_percent,
            "min_ms": min(times, default=None),
            "avg_ms": self.average_ms,
            "max_ms": max(times, default=None),
            "stddev_ms": pstdev(times) if len(times) > 1 else None,
            "jitter_ms": fmean(steps) if steps else None,
            "duplicates": self.duplicates or None,
            "damaged": self.damaged or None,
            "socket": "raw" if self.raw_socket else "datagram",
        }
        return {"ping": {name: value for name, value in found.items() if value is not None}}


@dataclass(slots=True)
class Volley:
    """The requests of one check, and what became of each. Counts from 1.

    `strays` are replies with our identifier to no request of ours. After too many packets that are
    no first reply to one, nobody listens any more.
    """

    opened: EchoSocket
    plan: VolleyPlan
    sent: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    complaints: dict[int, Complaint] = field(default_factory=dict)
    duplicates: int = 0
    damaged: int = 0
    strays: int = 0
    waited_ms: float = 0.0
    _settled: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    # Whatever else is equal, nobody else's packets have its first bytes in them.
    _payload: bytes = field(init=False)

    def __post_init__(self) -> None:
        filler = bytes(range(256)) * (self.plan.size // 256 + 1)
        self._payload = (secrets.token_bytes(TOKEN_BYTES) + filler)[: self.plan.size]

    @property
    def flooded(self) -> bool:
        """Whether more than `MOST_STRAYS` packets came that nobody asked for."""
        unasked = self.duplicates + self.damaged + self.strays + self.opened.strangers
        return unasked > MOST_STRAYS

    async def run(self, deadline: float) -> None:
        """Send all requests and wait for each reply, to the deadline of the loop's clock."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.add_reader(self.opened, self._receive)
        try:
            for number in range(self.plan.count):
                await asyncio.sleep(began + number * self.plan.interval_ms / 1000 - loop.time())
                if self.flooded:
                    break
                self._send(number + 1)
            await self._replies(deadline)
        finally:
            loop.remove_reader(self.opened)
            self.waited_ms = (loop.time() - began) * 1000

    def facts(self) -> EchoFacts:
        """So far."""
        return EchoFacts(
            sent=len(self.sent),
            received=len(self.seconds),
            times_ms=tuple(1000 * self.seconds[number] for number in sorted(self.seconds)),
            duplicates=self.duplicates,
            damaged=self.damaged,
            raw_socket=self.opened.raw,
        )

    def _send(self, number: int) -> None:
        self._receive()
        self.sent[number] = self.opened.send(number, self._payload)

    async def _replies(self, deadline: float) -> None:
        if self.plan.reply_timeout_ms is not None:
            now = asyncio.get_running_loop().time()
            deadline = min(deadline, now + self.plan.reply_timeout_ms / 1000)
        try:
            async with asyncio.timeout_at(deadline):
                await self._settled.wait()
        except TimeoutError:
            self._receive()

    def _receive(self) -> None:
        if self.flooded:
            asyncio.get_running_loop().remove_reader(self.opened)
            self._settled.set()
            return
        for heard in self.opened.receive():
            if isinstance(heard, Reply):
                self._take(heard)
            elif self._is_own(heard.request):
                self.complaints.setdefault(heard.request.sequence, heard)
        if len(self.seconds.keys() | self.complaints.keys()) == self.plan.count:
            self._settled.set()

    def _take(self, heard: Reply) -> None:
        number = heard.echo.sequence
        if not self._is_own(heard.echo):
            self.strays += 1
        elif heard.echo.payload != self._payload:
            self.damaged += 1
        elif number in self.seconds:
            self.duplicates += 1
        else:
            self.seconds[number] = heard.arrival.since(self.sent[number])

    def _is_own(self, echo: Echo) -> bool:
        """A router may quote no more of a request than its header."""
        token = self._payload[: min(TOKEN_BYTES, len(echo.payload))]
        return echo.sequence in self.sent and echo.payload.startswith(token)
