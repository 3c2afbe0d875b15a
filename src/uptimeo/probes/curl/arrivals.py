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
        self._first_late: float | None = None
        self._last_late = 0.0
        self._late: tuple[float, float, float] | None = None

    def prepare(self, opened: socket.socket) -> None:
        """A socket that is about to be connected."""
        stamp_arrivals(opened)
        inode = os.fstat(opened.fileno()).st_ino
        self.inodes.add(inode)
        self._opened[inode] = perf_counter()

    def before(self, opened: socket.socket, inode: int) -> None:
        """libcurl is about to be told that the socket is ready."""
        self._late = None
        try:
            info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            if len(info) < _INFO_BYTES:
                return
            self.flooded = _RECEIVED.unpack_from(info)[0] > self._most
            if self._is_connected():
                if info[0] in _READABLE:
                    self._late = _lateness(opened)
            elif not _RETRANSMITTED.unpack_from(info)[0]:
                took = _RTT_US.unpack_from(info)[0] / 1e6
                self._connected_at = self._opened[inode] + took if took else None
        except BlockingIOError:
            return
        except OSError as error:
            self.errno = error.errno or 0

    def after(self) -> None:
        """libcurl has done what there was to do."""
        if self._late is None:
            return
        first, last, at = self._late
        if self._flight_at is None and self._curl.getinfo(pycurl.APPCONNECT_TIME_T):
            self._flight_at = at - last
        if self._first_late is None and self._curl.getinfo(pycurl.STARTTRANSFER_TIME_T):
            self._first_late = first
        self._last_late = last

    def lateness(self, ended_at: float) -> Lateness:
        """Of a transfer that ended then."""
        mark = self._curl.getinfo
        began = ended_at - mark(pycurl.TOTAL_TIME_T) / 1e6
        connected = began + mark(pycurl.CONNECT_TIME_T) / 1e6
        late, tls, hello_at = 0.0, 0.0, self._watcher.hello_at
        if self._connected_at is not None:
            late = max(0.0, connected - self._connected_at)
        if self._flight_at is not None and hello_at is not None:
            agreed = began + mark(pycurl.APPCONNECT_TIME_T) / 1e6
            tls = max(0.0, agreed - self._flight_at) + max(0.0, hello_at - connected)
        answered = self._first_late is not None
        return Lateness(
            connect=_us(late),
            tls=_us(tls),
            first=_us(self._first_late or 0.0),
            last=_us(self._last_late if answered else 0.0),
        )

    def _is_connected(self) -> bool:
        """libcurl sets the mark of the connection only when TLS stands too."""
        said_hello = self._watcher.hello_at is not None
        return said_hello or self._curl.getinfo(pycurl.CONNECT_TIME_T) > 0


def _lateness(opened: socket.socket) -> tuple[float, float, float] | None:
    """How long ago the first and the last of the bytes came that wait to be read, and now."""
    ages = []
    for room, flags in ((_FIRST, socket.MSG_PEEK), (_ALL, socket.MSG_PEEK | socket.MSG_TRUNC)):
        size, ancillary, _, _ = opened.recvmsg_into([room], ANCILLARY_BYTES, flags)
        came = arrival(ancillary)
        if not size or came.age_s is None:
            return None
        ages.append(max(0.0, came.age_s))
    return ages[0], ages[1], came.read_at


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
