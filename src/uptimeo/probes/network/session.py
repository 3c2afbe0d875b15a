"""How do bytes get through TLS on a socket of ours, and what did the handshake show?"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.failing import fail
from uptimeo.probes.network.certificates import CertificateFacts, read_certificates
from uptimeo.probes.network.tls import TlsContexts, TlsOptions, explain

_CHUNK = 65_536
# Above it the certificates are many, and OpenSSL takes 0.2 ms for each, without Python's lock.
_QUICK_BYTES = 16_384
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What a handshake agreed on; None for what it did not get to."""

    protocol: str | None
    cipher: str | None
    alpn: str | None
    certificate: CertificateFacts | None

    def as_facts(self) -> dict[str, Any]:
        """For the facts of a result: `{"tls": …, "certificate": …}`, without what is unknown."""
        agreed = {"protocol": self.protocol, "cipher": self.cipher, "alpn": self.alpn}
        found: dict[str, Any] = {}
        if known := {key: value for key, value in agreed.items() if value is not None}:
            found["tls"] = known
        if self.certificate is not None:
            found["certificate"] = self.certificate.as_facts()
        return found


class TlsSession:
    """TLS over a connected socket; errors other than those of the handshake are the socket's."""

    def __init__(
        self,
        opened: socket.socket,
        contexts: TlsContexts,
        options: TlsOptions,
        name: str,
        at: str,
    ) -> None:
        self._socket = opened
        self._name = options.server_name or name
        self._at = at
        self._verified = options.verify
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls, self._presented = contexts.wrap(options, name, self._incoming, self._outgoing)
        self._agreed = False
        self._contexts = contexts
        self._came = 0

    async def handshake(self) -> None:
        """Raises TargetError by what is wrong with the certificate or the handshake."""
        try:
            await self._until_done(self._tls.do_handshake)
        except ssl.SSLEOFError as error:
            text = f"{self._at} closed the connection during the TLS handshake"
            raise fail(ErrorType.TLS, text, Phase.TLS) from error
        except ssl.SSLError as error:
            raise explain(error, self._name, self._at) from error
        self._agreed = True

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        sent = 0
        while sent < len(data):
            sent += await self._until_done(partial(self._tls.write, data[sent:]))

    async def receive(self, size: int) -> bytes:
        """At least one byte; b"" at the end."""
        try:
            return await self._until_done(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def facts(self) -> TlsFacts:
        """What is known by now; the certificates also of a handshake that failed over them."""
        verified = self._chain() if self._agreed and self._verified else ()
        cipher = self._tls.cipher() if self._agreed else None
        return TlsFacts(
            protocol=self._tls.version() if self._agreed else None,
            cipher=cipher[0] if cipher else None,
            alpn=self._tls.selected_alpn_protocol() if self._agreed else None,
            certificate=read_certificates(self._presented.chain, verified),
        )

    def _chain(self) -> tuple[bytes, ...]:
        """The verified chain in DER; public from Python 3.13 on, there since 3.10."""
        if hasattr(self._tls, "get_verified_chain"):
            return tuple(self._tls.get_verified_chain())
        inner: Any = self._tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001
        return tuple(
            ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_verified_chain()
        )

    async def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = await self._stepped(step)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._flush()  # the alert tells the server why
                raise
            else:
                await self._flush()
                return done

    async def _stepped(self, step: Callable[[], T]) -> T:
        """In a thread if it is a handshake with much to read, which would hold up every check."""
        if self._agreed or self._came <= _QUICK_BYTES:
            return step()
        return await self._contexts.apart(step)

    async def _flush(self) -> None:
        if pending := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._socket, pending)

    async def _fill(self) -> None:
        received = await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)
        self._came += len(received)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
