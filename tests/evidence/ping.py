"""How far off are the times of pings and DNS queries, while 300 checks begin every second?

Prints the error against a process that says how long it held each packet, and against the kernel of
a neighbour, which answers in about 0.02 ms; there also what the event loop would have measured, and
what the program `ping` of iputils says. Exits with 1 above p50 0.5 ms or p99 3 ms.
"""

import asyncio
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

from tests.evidence.delays import delayed
from tests.support.tunnel import tunnel
from tests.support.wires import TARGET, missing, wire
from uptimeo.probes.base import Address, ProbeContext
from uptimeo.probes.dns.options import DnsOptions
from uptimeo.probes.dns.probe import DnsProbe
from uptimeo.probes.ping.probe import PingOptions, PingProbe
from uptimeo.probes.ping.socket import PacketSettings, Reply, open_echo_socket
from uptimeo.probes.ping.volley import Volley, VolleyPlan

_RATE = 300
_CHECKS = 3000
_DELAY_MS = 20.0
_P50_MS, _P99_MS = 0.5, 3.0


async def _paced(check: Callable[[int], Awaitable[float]]) -> list[float]:
    """The figures of many checks, begun at the rate."""
    loop = asyncio.get_running_loop()
    began, tasks = loop.time(), []
    for number in range(_CHECKS):
        await asyncio.sleep(began + number / _RATE - loop.time())
        tasks.append(asyncio.ensure_future(check(number)))
    return list(await asyncio.gather(*tasks))


def _held_address(number: int) -> str:
    return f"10.215.{1 + number // 250}.{1 + number % 250}"


async def _ping_held(number: int) -> float:
    options = PingOptions(url=f"ping://{_held_address(number)}", count=1)
    result = await PingProbe().probe(options, ProbeContext(timeout_ms=3000))
    assert result.total_ms is not None
    return result.total_ms


def _error_of_held_pings() -> list[float]:
    with (
        tunnel() as device,
        device.inside(),
        delayed("tunnel", device.descriptor, _DELAY_MS) as other,
    ):
        found = asyncio.run(_paced(_ping_held))
    return [ms - other.held[_held_address(number)] for number, ms in enumerate(found)]


def _error_of_held_queries() -> list[float]:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", 0))
        probe, port = DnsProbe(), server.getsockname()[1]

        async def ask(number: int) -> float:
            options = DnsOptions(url=f"dns://127.0.0.1:{port}/n{number}.example")
            result = await probe.probe(options, ProbeContext(timeout_ms=3000))
            assert result.failure is None, result.failure
            return result.total_ms or 0.0

        with delayed("dns", server.fileno(), _DELAY_MS) as other:
            found = asyncio.run(_paced(ask))
    return [ms - other.held[f"n{number}.example."] for number, ms in enumerate(found)]


@dataclass(slots=True)
class _Watched(Volley):
    """A volley that also notes what its times would be without the kernel's stamp."""

    read: list[float] = field(default_factory=list, init=False)

    def _take(self, heard: Reply) -> None:
        self.read.append(1000 * (heard.arrival.read_at - self.sent[heard.echo.sequence]))
        Volley._take(self, heard)


def _of_the_neighbour() -> tuple[list[float], list[float]]:
    """The times of pings answered by a kernel: by its stamp, and as the loop read them."""
    read: list[float] = []

    async def ping(number: int) -> float:
        address = Address(f"10.214.3.{1 + number % 250}")
        context = ProbeContext(timeout_ms=3000)
        with open_echo_socket([address], address.ip, PacketSettings(), 56, context) as opened:
            volley = _Watched(opened, VolleyPlan(count=1, interval_ms=1, size=56))
            await volley.run(asyncio.get_running_loop().time() + 3)
        read.extend(volley.read)
        return volley.facts().times_ms[0]

    with wire() as way, way.inside():
        return asyncio.run(_paced(ping)), read


def _of_iputils() -> list[float]:
    """What `ping` says of the same neighbour, one packet after another and nothing beside."""
    if shutil.which("ping") is None:
        return []
    with wire() as way, way.inside():
        command = ("ping", "-n", "-c", "500", "-i", "0.005", TARGET)
        said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [float(ms) for ms in re.findall(r"time=([\d.]+)", said)]


def _line(what: str, figures: Sequence[float]) -> bool:
    """Print the figures; whether they are within the limits."""
    if not figures:
        print(f"{what:<52} not installed")
        return True
    cuts = quantiles(figures, n=100, method="inclusive")
    p50, p99 = cuts[49], cuts[98]
    print(f"{what:<52} p50 {p50:7.3f}  p99 {p99:7.3f}  max {max(figures):8.3f} ms")
    return p50 <= _P50_MS and p99 <= _P99_MS


def main() -> int:
    """Measure, print and judge."""
    if (why := missing()) is not None:
        print(f"skipped: {why}")
        return 0
    print(f"{_CHECKS} checks, {_RATE}/s, one packet each; differences from the truth\n")
    good = _line(f"ping, held for {_DELAY_MS:g} ms, error", _error_of_held_pings())
    good &= _line(f"dns over udp, held for {_DELAY_MS:g} ms, error", _error_of_held_queries())
    stamped, read = _of_the_neighbour()
    good &= _line("ping of a kernel next door, by its stamp", stamped)
    _line("  the same, as the event loop would have read it", read)
    _line("  iputils ping of the same, alone", _of_iputils())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
