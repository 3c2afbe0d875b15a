"""What does a scrape cost an agent with a thousand monitors? Its time, and the loop's lateness.

`python -m tests.evidence.scrape [MONITORS]` serves the metrics of that many HTTP monitors on
loopback, scrapes them from another process, one scraper at a time and then twelve, and says how
late the serving loop was at worst.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

from tests.support.ops import an_exposition, facts, many_results
from uptimeo.ops.app import make_app
from uptimeo.ops.endpoint import BOUNDS
from uptimeo.serving import Server, listen

_SCRAPES = 20
_CLIENT = r"""
import sys, threading, time, urllib.request
url, packed, clients, times = sys.argv[1], sys.argv[2] == "gzip", *map(int, sys.argv[3:])

def scrape():
    for _ in range(times):
        time.sleep(1.05)
        asked = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"} if packed else {})
        began = time.perf_counter()
        with urllib.request.urlopen(asked, timeout=20) as answer:
            size = len(answer.read())
        sys.stdout.write(f"{(time.perf_counter() - began) * 1000} {size}\n")

time.sleep(1)
for each in [threading.Thread(target=scrape) for _ in range(clients)]:
    each.start()
"""


class Lateness:
    """How late the loop was at worst, sampled every millisecond, in ms.

    `busy_ms` is the most that the loop itself computed between two samples: what is late beyond
    that, the host gave to other processes.
    """

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self.busy_ms = 0.0

    async def run(self) -> None:
        while True:
            began, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - began) * 1000 - 1)
            self.busy_ms = max(self.busy_ms, (time.thread_time() - busy) * 1000)

    def __str__(self) -> str:
        return f"{self.worst_ms:.1f} ms at worst, and busy for {self.busy_ms:.1f} ms at most"


@asynccontextmanager
async def sampled() -> AsyncIterator[Lateness]:
    lateness = Lateness()
    sampling = asyncio.create_task(lateness.run())
    yield lateness
    sampling.cancel()


async def scraped(
    url: str, kind: str, clients: int, times: int
) -> tuple[list[tuple[float, int]], Lateness]:
    """Milliseconds and bytes of each scrape, and the worst lateness meanwhile."""
    command = [sys.executable, "-c", _CLIENT, url, kind, str(clients), str(times)]
    client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with sampled() as lateness:  # to start it takes the loop longer than any scrape
        said = (await client.communicate())[0].decode()
    lines = [line.split() for line in said.splitlines()]
    return [(float(ms), int(size)) for ms, size in lines], lateness


async def main() -> None:
    monitors = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    exposition = an_exposition(many_results(monitors))
    gc.freeze()  # as an agent does
    server = Server(make_app(facts, exposition), BOUNDS)
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        serving = asyncio.create_task(server.run_on(listening))
        url = f"http://127.0.0.1:{port}/metrics"
        async with sampled() as idle:
            await asyncio.sleep(5)
        print(f"{monitors} monitors; an idle loop is late by {idle}")
        for kind, clients in (("plain", 1), ("gzip", 1), ("gzip", 12)):
            times = _SCRAPES if clients == 1 else 5
            found, lateness = await scraped(url, kind, clients, times)
            took = sorted(ms for ms, _ in found)
            print(
                f"{kind}, {clients} at a time: {len(took)} scrapes of {found[0][1]} bytes,"
                f" {median(took):.0f} ms in the middle, {took[-1]:.0f} ms at most;"
                f" the loop was late by {lateness}"
            )
        server.stop()
        await serving


if __name__ == "__main__":
    asyncio.run(main())
