"""Who answers after a known delay? A process of its own, so that no load of ours is in its figures.

`python -m tests.evidence.delays KIND DESCRIPTOR DELAY_MS` answers pings (`tunnel`) or DNS queries
(`dns`) that come to that descriptor until its standard input ends. Then it prints, as JSON, how
many ms it held each of them: by address, or by name.
"""

import heapq
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dns.message

from tests.support.dns_server import reply
from tests.support.tunnel import echo_reply, is_echo_request


class Delayed:
    """The process; `held` is known once it has ended."""

    def __init__(self) -> None:
        self.held: dict[str, float] = {}


@contextmanager
def delayed(kind: str, descriptor: int, delay_ms: float) -> Iterator[Delayed]:
    """Run the process at that descriptor, which it shares."""
    found = Delayed()
    command = (sys.executable, "-m", __name__, kind, str(descriptor), str(delay_ms))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[descriptor]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield found
        finally:
            process.stdin.close()
            found.held = json.loads(process.stdout.read())


def _ping(packet: bytes) -> tuple[str, bytes] | None:
    if not is_echo_request(packet):
        return None
    return ".".join(map(str, packet[16:20])), echo_reply(packet)


def _query(wire: bytes) -> tuple[str, bytes]:
    query = dns.message.from_wire(wire)
    name = query.question[0].name.to_text()
    return name, reply(query, f"{name} 60 IN A 192.0.2.1")


class _Door:
    """Where questions come in and answers go out."""

    def __init__(self, kind: str, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor) if kind == "dns" else None
        self._descriptor = descriptor

    def take(self) -> tuple[str, bytes, Any] | None:
        """The key of a question, its answer, and to whom; None if it is no question."""
        if self._socket is None:
            made = _ping(os.read(self._descriptor, 65_536))
            return None if made is None else (*made, None)
        wire, client = self._socket.recvfrom(65_536)
        return (*_query(wire), client)

    def give(self, answer: bytes, client: Any) -> None:
        """Send it."""
        if self._socket is None:
            os.write(self._descriptor, answer)
        else:
            self._socket.sendto(answer, client)


def _serve(door: _Door, descriptor: int, delay_s: float) -> dict[str, float]:
    """To the end of standard input; how long each question was held, in ms."""
    held: dict[str, float] = {}
    waiting: list[tuple[float, float, str, bytes, Any]] = []
    while True:
        pause = max(0.0, waiting[0][0] - time.perf_counter()) if waiting else None
        ready, _, _ = select.select([descriptor, sys.stdin], [], [], pause)
        now = time.perf_counter()
        if descriptor in ready:
            if (taken := door.take()) is not None:
                heapq.heappush(waiting, (now + delay_s, now, *taken))
        elif ready and not waiting:
            return held
        while waiting and waiting[0][0] <= time.perf_counter():
            _, since, key, answer, client = heapq.heappop(waiting)
            door.give(answer, client)
            held[key] = (time.perf_counter() - since) * 1000


def main() -> None:
    """Answer with the punctuality of a real-time process, where the host lets it."""
    kind, descriptor, delay_ms = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("ready", flush=True)
    json.dump(_serve(_Door(kind, descriptor), descriptor, delay_ms / 1000), sys.stdout)


if __name__ == "__main__":
    main()
