"""To which addresses may libcurl connect, and from which one of ours?"""

import os
import socket
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import Any, NamedTuple

import pycurl

from uptimeo.probes.curl.arrivals import Arrivals
from uptimeo.probes.curl.transfer import Request

_STARVED = (EMFILE, ENFILE, ENOBUFS, ENOMEM)


class _Address(NamedTuple):
    """What libcurl is about to connect to, as pycurl hands it over."""

    family: int
    socktype: int
    protocol: int
    addr: tuple[Any, ...]


class _Lent:
    """A descriptor for libcurl, which duplicates it as soon as the callback has returned."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


class Dialer:
    """Opens libcurl's sockets: asks the guard, and knows each address that was tried.

    `refusal` is the guard's, `unbound` says why the source address could not be taken, and
    `starved` that the host had no socket for us.
    """

    def __init__(self, request: Request, arrivals: Arrivals) -> None:
        self.tried: list[str] = []
        self.starved = False
        self.refusal: str | None = None
        self.unbound: str | None = None
        self._arrivals = arrivals
        self._guard = request.guard
        self._name = request.route.dialled
        self._source = request.source

    def open(self, _purpose: int, address: _Address) -> Any:
        """A socket for that address, or none; libcurl's open-socket callback."""
        refusal = self._guard.refusal(str(address.addr[0]), self._name)
        if refusal is not None:
            self.refusal = refusal
            return pycurl.SOCKET_BAD
        try:
            made = socket.socket(address.family, address.socktype, address.protocol)
        except OSError as error:
            self.starved = error.errno in _STARVED
            return pycurl.SOCKET_BAD
        made.settimeout(0)
        if self._source is not None and not self._bound(made, self._source):
            made.close()
            return pycurl.SOCKET_BAD
        if made.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM:
            self._arrivals.prepare(made)
        self.tried.append(_shown(address))
        return _Lent(made.detach())

    def _bound(self, made: socket.socket, source: str) -> bool:
        try:
            made.bind((source, 0))
        except OSError as error:
            self.unbound = f"this host has no source address {source}: {error.strerror or error}"
            return False
        return True


def _shown(address: _Address) -> str:
    host, port = address.addr[0], address.addr[1]
    return f"[{host}]:{port}" if address.family == socket.AF_INET6 else f"{host}:{port}"
