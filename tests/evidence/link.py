"""What if a connection takes its time? A link that holds each SYN, and says for how long it did.

`python -m tests.evidence.link DESCRIPTOR DELAY_MS` forwards what is sent into the network device
of that descriptor until its standard input ends. Whoever connects to FAR reaches the same port of
NEAR, and the other way round only the addresses are exchanged: FAR and BEHIND are chosen so that
the checksums stay right. At the end it prints, as JSON, for how many ms it held the connection
from each port.
"""

import heapq
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.tunnel import NEAR, Tunnel
from tests.support.wires import run

FAR, BEHIND = "10.215.2.1", "10.214.2.2"
_NEAR, _FAR, _BEHIND = (bytes(map(int, address.split("."))) for address in (NEAR, FAR, BEHIND))
_TCP, _SYN, _SYN_ACK, _FLAGS = 6, 0x02, 0x12, 0x17


class Held:
    """For how long the connections from each port were held, in ms; known at the end."""

    def __init__(self) -> None:
        self.ms: dict[int, list[float]] = {}


@contextmanager
def link(device: Tunnel, delay_ms: float) -> Iterator[Held]:
    """Run the process at the other end of that device."""
    with device.inside():
        run("ip", "link", "set", "lo", "up")
        run("ip", "route", "add", f"{BEHIND}/32", "dev", "tun0")
    found = Held()
    command = (sys.executable, "-m", __name__, str(device.descriptor), str(delay_ms))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[device.descriptor],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield found
        finally:
            process.stdin.close()
            told = json.loads(process.stdout.read())
            found.ms = {int(port): held for port, held in told.items()}


def _forwarded(packet: bytes) -> bytes | None:
    """The packet with its other addresses; None for one that is nobody's here."""
    if packet[0] != 0x45 or packet[9] != _TCP:
        return None
    if packet[16:20] == _FAR:
        return packet[:12] + _BEHIND + _NEAR + packet[20:]
    if packet[16:20] == _BEHIND:
        return packet[:12] + _FAR + _NEAR + packet[20:]
    return None


def _serve(descriptor: int, delay_s: float) -> dict[int, list[float]]:
    held: dict[int, list[float]] = {}
    came: dict[int, float] = {}
    waiting: list[tuple[float, bytes]] = []
    while True:
        pause = max(0.0, waiting[0][0] - time.perf_counter()) if waiting else None
        ready, _, _ = select.select([descriptor, sys.stdin], [], [], pause)
        now = time.perf_counter()
        if descriptor in ready:
            packet = os.read(descriptor, 65_536)
            if (changed := _forwarded(packet)) is not None:
                flags = packet[33] & _FLAGS
                if flags == _SYN:
                    came.setdefault(int.from_bytes(packet[20:22], "big"), now)
                    heapq.heappush(waiting, (now + delay_s, changed))
                else:
                    os.write(descriptor, changed)
                if flags == _SYN_ACK:
                    port = int.from_bytes(packet[22:24], "big")
                    ms = (time.perf_counter() - came.pop(port, now)) * 1000
                    held.setdefault(port, []).append(ms)
        elif ready:
            return held
        while waiting and waiting[0][0] <= time.perf_counter():
            os.write(descriptor, heapq.heappop(waiting)[1])


def main() -> None:
    """Forward with the punctuality of a real-time process, where the host lets it."""
    descriptor, delay_ms = int(sys.argv[1]), float(sys.argv[2])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("ready", flush=True)
    json.dump(_serve(descriptor, delay_ms / 1000), sys.stdout)


if __name__ == "__main__":
    main()
