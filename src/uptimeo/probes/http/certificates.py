"""What do the certificates of a handshake say? Each chain is read once, for reading takes long."""

import asyncio
import ssl
from pathlib import Path

from uptimeo.probes.base import CertificateFacts, TlsFacts, TlsOptions
from uptimeo.probes.curl import Handshake
from uptimeo.probes.network.certificates import Authorities, read_certificates
from uptimeo.probes.network.tls import trusted_ca_file

_KEPT_CHAINS = 2000
_KEPT_AUTHORITIES = 100


class CertificateReader:
    """Turns handshakes into facts, and remembers what it has read."""

    def __init__(self) -> None:
        self._chains: dict[tuple[tuple[bytes, ...], str | None], CertificateFacts | None] = {}
        self._authorities: dict[str | None, Authorities] = {}

    async def facts(self, handshake: Handshake, tls: TlsOptions, *, accepted: bool) -> TlsFacts:
        """The facts of a handshake; `accepted` if libcurl found its certificate to be good."""
        return TlsFacts(
            protocol=handshake.protocol,
            cipher=handshake.cipher,
            alpn=handshake.alpn,
            certificate=await self._certificate(
                handshake.presented, tls, verified=accepted and tls.verify
            ),
        )

    async def _certificate(
        self, presented: tuple[bytes, ...], tls: TlsOptions, *, verified: bool
    ) -> CertificateFacts | None:
        if not presented:
            return None
        key = (presented, (tls.ca_pem or "") if verified else None)
        if key not in self._chains:
            chain = await self._chain(presented, tls) if verified else ()
            if len(self._chains) >= _KEPT_CHAINS:
                del self._chains[next(iter(self._chains))]
            self._chains[key] = read_certificates(presented, chain)
        return self._chains[key]

    async def _chain(self, presented: tuple[bytes, ...], tls: TlsOptions) -> tuple[bytes, ...]:
        if tls.ca_pem not in self._authorities:
            found = await asyncio.to_thread(_read, tls.ca_pem)
            if len(self._authorities) >= _KEPT_AUTHORITIES:
                del self._authorities[next(iter(self._authorities))]
            self._authorities[tls.ca_pem] = found
        return self._authorities[tls.ca_pem].chain(presented)


def _read(ca_pem: str | None) -> Authorities:
    pem = ca_pem if ca_pem is not None else Path(trusted_ca_file()).read_text("utf-8")
    begin, end = ssl.PEM_HEADER, ssl.PEM_FOOTER
    blocks = (begin + rest.partition(end)[0] + end for rest in pem.split(begin)[1:])
    return Authorities(ssl.PEM_cert_to_DER_cert(block) for block in blocks)
