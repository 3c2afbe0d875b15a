"""How are WebSocket messages exchanged on a stream of ours? The only importer of wsproto."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from uptimeo.domain.result import ErrorType
from uptimeo.probes.failing import fail
from uptimeo.probes.network.stream import Stream

Headers = tuple[tuple[str, str], ...]
# A frame may be of two bytes, and each of them takes some work of ours.
_MAX_FRAMES = 1000
_AT_ONCE = 50
_PIECE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the server answered to the handshake; `status` is 101 if it accepted."""

    status: int
    headers: Headers
    subprotocol: str | None = None


class WsSession:
    """One WebSocket connection, from the handshake on. `max_bytes` bounds all that is received."""

    def __init__(self, stream: Stream, max_bytes: int) -> None:
        self._stream = stream
        self._left = self._max = max_bytes
        self._frames = 0
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: Iterator[Event] = iter(())

    async def ask(
        self, host: str, target: str, headers: Headers, subprotocols: Sequence[str]
    ) -> None:
        """Send the handshake's request. Raises TargetError for what cannot be sent."""
        extra = [(name.encode(), value.encode()) for name, value in headers]
        request = Request(
            host=host, target=target, extra_headers=extra, subprotocols=list(subprotocols)
        )
        try:
            await self._stream.send(self._connection.send(request))
        except (LocalProtocolError, UnicodeError, ValueError) as error:
            text = f"the handshake for {self._stream.at} cannot be written: {error}"
            raise fail(ErrorType.MISCONFIGURED, text) from error

    async def opening(self) -> Opening:
        """The server's answer to the handshake, whatever it is."""
        while True:
            match await self._next():
                case AcceptConnection() as accepted:
                    headers = _texts(accepted.extra_headers)
                    return Opening(status=101, headers=headers, subprotocol=accepted.subprotocol)
                case RejectConnection() as refused:
                    headers = _texts(refused.headers)
                    return Opening(status=refused.status_code, headers=headers)

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message, in one frame."""
        event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(message)
        await self._stream.send(self._connection.send(event))

    async def receive(self) -> str | bytes:
        """The next whole message. Raises TargetError if the server closes instead."""
        parts: list[str | bytes] = []
        while True:
            match await self._next():
                case TextMessage() | BytesMessage() as message:
                    data = message.data
                    parts.append(data if isinstance(data, str) else bytes(data))
                    if message.message_finished:
                        return _joined(parts)
                case CloseConnection() as close:
                    reason = f" ({close.reason})" if close.reason else ""
                    text = f"{self._stream.at} closed the WebSocket: {int(close.code)}{reason}"
                    raise fail(ErrorType.UNEXPECTED, text)

    async def close(self) -> None:
        """Tell the server that we leave; its answer is not awaited."""
        try:
            await self._stream.send(self._connection.send(CloseConnection(code=1000)))
        except LocalProtocolError:
            return  # the server has closed it already

    async def _next(self) -> Event:
        """The next event; pings are answered on the way."""
        while (event := self._parsed()) is None:
            await self._fill()
        self._frames += 1
        if self._frames > _MAX_FRAMES:
            text = f"{self._stream.at} sent more than {_MAX_FRAMES} frames"
            raise fail(ErrorType.BODY_TOO_LARGE, text)
        if self._frames % _AT_ONCE == 0:
            await asyncio.sleep(0)  # other checks have their turn
        if isinstance(event, Ping):
            await self._stream.send(self._connection.send(event.response()))
        return event

    def _parsed(self) -> Event | None:
        """What is next in the bytes that were received; None if no whole event is."""
        at = self._stream.at
        try:
            event = next(self._events, None)
        except RemoteProtocolError as error:
            text = f"{at} does not speak the WebSocket protocol: {error}"
            raise fail(ErrorType.PROTOCOL, text) from error
        # wsproto tells of a frame that is none as if it had been a frame that closes.
        if isinstance(event, CloseConnection) and self._connection.state is ConnectionState.OPEN:
            raise fail(ErrorType.PROTOCOL, f"{at} sent what is no WebSocket frame: {event.reason}")
        return event

    async def _fill(self) -> None:
        at = self._stream.at
        if not (data := await self._stream.read(_PIECE)):
            raise fail(ErrorType.EMPTY_RESPONSE, f"{at} closed the connection without a word")
        self._left -= len(data)
        if self._left < 0:
            text = f"{at} sent more than the limit of {self._max} bytes"
            raise fail(ErrorType.BODY_TOO_LARGE, text)
        try:
            self._connection.receive_data(data)
        except RemoteProtocolError as error:
            text = f"{at} does not speak the WebSocket protocol: {error}"
            raise fail(ErrorType.PROTOCOL, text) from _let_go(error)
        self._events = self._connection.events()


def _let_go(error: RemoteProtocolError) -> RemoteProtocolError:
    """The same; h11's error behind it forgets its traceback.

    A frame of h11 in there holds that error: a cycle, and every frame of ours is in it.
    """
    if error.__context__ is not None:
        error.__context__.with_traceback(None)
    return error


def _joined(parts: list[str | bytes]) -> str | bytes:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes))


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    return tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in headers)
