"""A server that speaks HTTP/3, by aioquic, and a relay that hands its datagrams on later."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trustme
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from tests.support.servers import HOST, Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What each request gets, so many seconds later."""

    delay_s: float = 0.0
    status: bytes = b"200"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b"ok"


class _Answering(QuicConnectionProtocol):
    def __init__(self, *args: Any, answer: "Answer", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wanted = answer
        self._http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol in H3_ALPN:
            self._http = H3Connection(self._quic)
        for each in self._http.handle_event(event) if self._http is not None else ():
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                self._loop.call_later(self._wanted.delay_s, self._answer, each.stream_id)

    def _answer(self, stream: int) -> None:
        if self._http is None or self._closed.is_set():
            return
        wanted = self._wanted
        headers = [(b":status", wanted.status), *wanted.headers]
        self._http.send_headers(stream, headers, end_stream=not wanted.body)
        if wanted.body:
            self._http.send_data(stream, wanted.body, end_stream=True)
        self.transmit()


@asynccontextmanager
async def http3(
    certificate: trustme.LeafCert,
    *,
    answer: Answer = Answer(),
    protocols: tuple[str, ...] = tuple(H3_ALPN),
    host: str = HOST,
) -> AsyncIterator[Address]:
    """Listen with that certificate; with other `protocols`, speak QUIC and no HTTP over it."""
    server = await _listening(
        _configuration(certificate, protocols), partial(_Answering, answer=answer), host
    )
    port = server._transport.get_extra_info("sockname")[1]  # type: ignore[union-attr]
    try:
        yield Address(port=port, host=host, scheme="https")
    finally:
        server.close()
        await asyncio.sleep(0)  # for the transport to notice that it was closed


async def _listening(configuration: QuicConfiguration, protocol: Any, host: str) -> QuicServer:
    _, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, create_protocol=protocol),
        local_addr=(host, 0),
    )
    return server


def _configuration(certificate: trustme.LeafCert, protocols: tuple[str, ...]) -> QuicConfiguration:
    made = QuicConfiguration(is_client=False, alpn_protocols=list(protocols))
    with tempfile.TemporaryDirectory(prefix="uptimeo-http3-") as name:
        chain, key = Path(name, "chain.pem"), Path(name, "key.pem")
        chain.write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        made.load_cert_chain(chain, key)
    return made


class Relay(asyncio.DatagramProtocol):
    """Hands datagrams on, each after a while: `to_server_s` in seconds for the client's, and
    `to_client_s` for the server's, the first first and the last for all that follow."""

    def __init__(
        self, server: tuple[str, int], to_server_s: float, to_client_s: tuple[float, ...]
    ) -> None:
        self._server = server
        self._to_server_s = to_server_s
        self._to_client_s = list(to_client_s)
        self._client: Any = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr != self._server:
            self._client = addr
            self._send_later(self._to_server_s, data, self._server)
            return
        delays = self._to_client_s
        self._send_later(delays.pop(0) if len(delays) > 1 else delays[0], data, self._client)

    def _send_later(self, delay_s: float, data: bytes, to: Any) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._send, data, to)

    def _send(self, data: bytes, to: Any) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, to)


@asynccontextmanager
async def slowed(
    server: Address, *, to_server_s: float = 0.0, to_client_s: tuple[float, ...] = (0.0,)
) -> AsyncIterator[Address]:
    """The same server behind a relay."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay((server.host, server.port), to_server_s, to_client_s),
        local_addr=(server.host, 0),
    )
    port = transport.get_extra_info("sockname")[1]
    try:
        yield Address(port=port, host=server.host, scheme="https")
    finally:
        transport.close()
        await asyncio.sleep(0)
