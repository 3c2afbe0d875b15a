"""When did a datagram arrive, however late we came to read it? By the stamp of the kernel.

While 200 checks begin, a reply that is stamped when we read it seems to take 20 ms longer.
"""

import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

# Linux's SO_TIMESTAMPNS, for which the module `socket` has no name.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
# Between two readings of one moment there may be a pause; a longer one is read again.
_TOGETHER_S = 0.000_02
_READINGS = 3

ANCILLARY_BYTES = 512
Ancillary = Iterable[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a datagram was read, by `time.perf_counter`, and how long it had been there by then."""

    read_at: float
    age_s: float | None = None

    def since(self, sent_at: float) -> float:
        """Seconds from that moment until it arrived.

        Where the kernel did not say when, or the wall clock was set meanwhile, until it was read.
        """
        elapsed = self.read_at - sent_at
        if self.age_s is None or not 0 <= self.age_s <= elapsed:
            return elapsed
        return elapsed - self.age_s


def stamp_arrivals(opened: socket.socket) -> None:
    """Let the kernel note when each datagram arrives; a kernel that cannot is left alone."""
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def arrival(ancillary: Ancillary) -> Arrival:
    """Of the datagram that was just read by `recvmsg` with these ancillary data."""
    wall, read_at = _now()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return Arrival(read_at, (wall - seconds * 1_000_000_000 - nanoseconds) / 1e9)
    return Arrival(read_at)


def _now() -> tuple[int, float]:
    """The same moment by the wall clock, in ns, and by `perf_counter`, in s."""
    best: tuple[float, int, float] | None = None
    for _ in range(_READINGS):
        before, wall, after = time.perf_counter(), time.time_ns(), time.perf_counter()
        if best is None or after - before < best[0]:
            best = after - before, wall, (before + after) / 2
        if best[0] < _TOGETHER_S:
            break
    assert best is not None
    return best[1], best[2]
