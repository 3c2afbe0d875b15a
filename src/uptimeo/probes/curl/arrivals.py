"""When did what libcurl noticed really happen? By the kernel, however late our loop came to it.

libcurl's figures end when it was called, which is when our event loop had time for it: while 300
checks begin every second, 5 ms late. So each of its sockets is asked beforehand: how long the
connection took to stand, and when its bytes arrived. All times are of `time.perf_counter`, in s.
"""

import os
import socket
import struct
from time import perf_counter
from typing import Any

import pycurl

from uptimeo.probes.curl.marks import Lateness
from uptimeo.probes.curl.watcher import Watcher
from uptimeo.probes.network.arrival import ANCILLARY_BYTES, arrival, stamp_arrivals

# Linux's struct tcp_info, <linux/tcp.h>.
_RTT_US, _RETRANSMITTED, _RECEIVED = (
    struct.Struct("@68xI"),
    struct.Struct("@100xI"),
    struct.Struct("@128xQ"),
)
_INFO_BYTES = 136
# States of TCP, <net/tcp_states.h>: established, and closed by the peer only.
_READABLE = (1, 8)
# Their contents are never looked at: the bytes themselves are libcurl's to read.
_FIRST, _ALL = bytearray(1), bytearray(262_144)


class Arrivals:
    """One transfer's sockets. `prepare` each; then call `before` and `after` around libcurl.

    `flooded` says that more than `most_bytes` came in on one of them. `errno` is a fault that we
    were told instead of libcurl: the kernel tells it once.
    """

    def __init__(self, curl: Any, watcher: Watcher, most_bytes: int) -> None:
        self.inodes: set[int] = set()
        self.flooded = False
        self.errno = 0
        self._curl = curl
        self._most = most_bytes
        self._opened: dict[int, float] = {}
        self._watcher = watcher
        self._connected_at: float | None = None
        self._flight_at: float | None = None
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._came: tuple[float, float] | None = None

    def prepare(self, opened: socket.socket) -> None:
        """A socket that is about to be connected."""
        stamp_arrivals(opened)
        inode = os.fstat(opened.fileno()).st_ino
        self.inodes.add(inode)
        self._opened[inode] = perf_counter()

    def before(self, opened: socket.socket, inode: int) -> None:
        """libcurl is about to be told that the socket is ready."""
        self._came = None
        try:
            info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            if len(info) < _INFO_BYTES:
                return
            self.flooded = _RECEIVED.unpack_from(info)[0] > self._most
            if self._is_connected():
                if info[0] in _READABLE:
                    self._came = _waiting(opened)
            elif not _RETRANSMITTED.unpack_from(info)[0]:
                took = _RTT_US.unpack_from(info)[0] / 1e6
                self._connected_at = self._opened[inode] + took if took else None
        except BlockingIOError:
            return
        except OSError as error:
            self.errno = error.errno or 0

    def after(self) -> None:
        """libcurl has done what there was to do."""
        if self._came is None:
            return
        first_at, last_at = self._came
        if self._flight_at is None and self._curl.getinfo(pycurl.APPCONNECT_TIME_T):
            self._flight_at = last_at
        if self._first_at is None and self._curl.getinfo(pycurl.STARTTRANSFER_TIME_T):
            self._first_at = first_at
        self._last_at = last_at

    def lateness(self, ended_at: float) -> Lateness:
        """Of a transfer that ended then."""
        mark = self._curl.getinfo
        began = ended_at - mark(pycurl.TOTAL_TIME_T) / 1e6
        connected = began + mark(pycurl.CONNECT_TIME_T) / 1e6
        agreed = began + mark(pycurl.APPCONNECT_TIME_T) / 1e6
        answered = began + mark(pycurl.STARTTRANSFER_TIME_T) / 1e6
        hello_at, last_at = self._watcher.hello_at, self._last_at
        tls = 0
        if self._flight_at is not None and hello_at is not None:
            tls = _us(agreed, self._flight_at) + _us(hello_at, connected)
        return Lateness(
            connect=_us(connected, self._connected_at),
            tls=tls,
            first=_us(answered, self._first_at),
            last=_us(ended_at, last_at if self._first_at is not None else None),
        )

    def _is_connected(self) -> bool:
        """libcurl sets the mark of the connection only when TLS stands too."""
        said_hello = self._watcher.hello_at is not None
        return said_hello or self._curl.getinfo(pycurl.CONNECT_TIME_T) > 0


def _waiting(opened: socket.socket) -> tuple[float, float] | None:
    """When the first and the last of the bytes came that wait to be read."""
    came = []
    for room, flags in ((_FIRST, socket.MSG_PEEK), (_ALL, socket.MSG_PEEK | socket.MSG_TRUNC)):
        size, ancillary, _, _ = opened.recvmsg_into([room], ANCILLARY_BYTES, flags)
        seen = arrival(ancillary)
        if not size or seen.age_s is None:
            return None
        came.append(seen.read_at - max(0.0, seen.age_s))
    return came[0], came[1]


def _us(noticed_at: float, happened_at: float | None) -> int:
    """How much later the one was; 0 if it is not known when it happened."""
    return 0 if happened_at is None else max(0, round((noticed_at - happened_at) * 1e6))
