"""How does libcurl run on our event loop? Its sockets and its timer, and who is told of an end.

pycurl's own AsyncCurlMulti does not let us look at a socket before libcurl does.
"""

import asyncio
import os
import socket
from contextlib import suppress
from time import perf_counter
from typing import Any

import pycurl

from uptimeo.probes.curl.arrivals import Arrivals


class FloodError(Exception):
    """A transfer was ended since more bytes came than any answer needs."""


class _Watched:
    """A socket of libcurl's, as long as it wants to know about it; it stays libcurl's own."""

    def __init__(self, descriptor: int, arrivals: Arrivals | None, inode: int) -> None:
        self.reads = self.writes = False
        self.inode = inode
        self.arrivals = arrivals
        self.socket = None
        if arrivals is not None:
            self.socket = socket.socket(
                socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor
            )

    def forget(self) -> None:
        """Let go of the socket, which is not closed by it."""
        if self.socket is not None:
            self.socket.detach()
            self.socket = None


class Driver:
    """Runs transfers on the running loop, until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._ends: dict[Any, asyncio.Future[float]] = {}
        self._arrivals: dict[Any, Arrivals] = {}
        self._watched: dict[int, _Watched] = {}
        self._timer: asyncio.Handle | None = None

    async def perform(self, curl: Any, arrivals: Arrivals) -> float:
        """Wait for the end of a transfer, and say when by `perf_counter` it was.

        Raises pycurl.error, or FloodError.
        """
        end: asyncio.Future[float] = self._loop.create_future()
        self._ends[curl] = end
        self._arrivals[curl] = arrivals
        self._multi.add_handle(curl)
        try:
            return await end
        finally:
            self._remove(curl)
            del end  # else its exception holds this frame, and that the exception: memory for long

    def close(self) -> None:
        """Abandon what is under way."""
        for curl in list(self._ends):
            self._ends[curl].cancel()
            self._remove(curl)
        for descriptor in list(self._watched):
            self._unwatch(descriptor)
        if self._timer is not None:
            self._timer.cancel()
        self._multi.close()

    def _remove(self, curl: Any) -> None:
        if self._ends.pop(curl, None) is not None:
            del self._arrivals[curl]
            with suppress(pycurl.error):
                self._multi.remove_handle(curl)

    def _on_timer(self, timeout_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms == 0:  # not from within libcurl
            self._timer = self._loop.call_soon(self._drive, pycurl.SOCKET_TIMEOUT, 0)
        elif timeout_ms > 0:
            later = timeout_ms / 1000
            self._timer = self._loop.call_later(later, self._drive, pycurl.SOCKET_TIMEOUT, 0)

    def _on_socket(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            self._unwatch(descriptor)
            return
        watched = self._watched.get(descriptor) or self._watch(descriptor)
        reads, writes = bool(what & pycurl.POLL_IN), bool(what & pycurl.POLL_OUT)
        if reads and not watched.reads:
            self._loop.add_reader(descriptor, self._ready, descriptor, pycurl.CSELECT_IN)
        elif watched.reads and not reads:
            self._loop.remove_reader(descriptor)
        if writes and not watched.writes:
            self._loop.add_writer(descriptor, self._ready, descriptor, pycurl.CSELECT_OUT)
        elif watched.writes and not writes:
            self._loop.remove_writer(descriptor)
        watched.reads, watched.writes = reads, writes

    def _watch(self, descriptor: int) -> _Watched:
        inode = os.fstat(descriptor).st_ino
        owner = next((each for each in self._arrivals.values() if inode in each.inodes), None)
        made = self._watched[descriptor] = _Watched(descriptor, owner, inode)
        return made

    def _unwatch(self, descriptor: int) -> None:
        watched = self._watched.pop(descriptor, None)
        if watched is None:
            return
        if watched.reads:
            self._loop.remove_reader(descriptor)
        if watched.writes:
            self._loop.remove_writer(descriptor)
        watched.forget()

    def _ready(self, descriptor: int, mask: int) -> None:
        watched = self._watched.get(descriptor)
        if watched is None:  # libcurl let go of it since the loop saw it
            return
        arrivals, opened = watched.arrivals, watched.socket
        if arrivals is None or opened is None:
            self._drive(descriptor, mask)
            return
        arrivals.before(opened, watched.inode)
        if arrivals.flooded:
            self._give_up(arrivals)
            return
        self._drive(descriptor, mask, arrivals)

    def _drive(self, descriptor: int, mask: int, arrivals: Arrivals | None = None) -> None:
        if descriptor == pycurl.SOCKET_TIMEOUT:
            self._timer = None
        self._multi.socket_action(descriptor, mask)
        if arrivals is not None:
            arrivals.after()
        self._settle()

    def _give_up(self, arrivals: Arrivals) -> None:
        for curl, each in self._arrivals.items():
            if each is arrivals and not self._ends[curl].done():
                self._ends[curl].set_exception(FloodError())

    def _settle(self) -> None:
        now = perf_counter()
        _, done, failed = self._multi.info_read()
        for curl in done:
            if (end := self._ends.get(curl)) is not None and not end.done():
                end.set_result(now)
        for curl, code, text in failed:
            if (end := self._ends.get(curl)) is not None and not end.done():
                end.set_exception(pycurl.error(code, text))
