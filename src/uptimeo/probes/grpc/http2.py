"""How is one call made over HTTP/2 on a stream of ours? The only importer of h2.

Not libcurl's work: a gRPC answer is judged by its trailers.
"""

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from uptimeo.domain.result import ErrorType
from uptimeo.probes.failing import fail
from uptimeo.probes.network.stream import Stream

Headers = tuple[tuple[str, str], ...]
# A frame may be of nine bytes, and each of them takes some work of ours. An answer has a few.
_MAX_EVENTS = 300
_PIECE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back on the stream of the call; names are in lower case."""

    headers: Headers
    trailers: Headers
    body: bytes

    def value(self, name: str) -> str | None:
        """The trailer of that name, else the header: an answer without a body has only these."""
        return next((v for k, v in (*self.trailers, *self.headers) if k == name), None)


@dataclass(slots=True)
class _Reading:
    """An answer on its way."""

    headers: Headers = ()
    trailers: Headers = ()
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False


class Call:
    """One request and its answer; the connection serves no other."""

    def __init__(self, stream: Stream, max_bytes: int) -> None:
        """`max_bytes` bounds all that the server sends, frames that say nothing included."""
        self._stream = stream
        self._left = self._max = max_bytes
        self._connection = H2Connection(H2Configuration(header_encoding=None))
        self._id = 0
        self._events = 0

    async def send(self, headers: Headers, body: bytes) -> None:
        """Preface, settings, headers and body, as one packet if it fits one."""
        self._connection.initiate_connection()
        self._id = self._connection.get_next_available_stream_id()
        self._connection.send_headers(self._id, headers)
        self._connection.send_data(self._id, body, end_stream=True)
        await self._stream.send(self._connection.data_to_send())

    async def answer(self) -> Answer:
        """All of the answer. Raises TargetError for what is not HTTP/2, or too much."""
        reading = _Reading()
        while not reading.ended:
            for event in await self._receive():
                self._note(event, reading)
            if pending := self._connection.data_to_send():
                await self._stream.send(pending)
        return Answer(headers=reading.headers, trailers=reading.trailers, body=bytes(reading.body))

    async def _receive(self) -> list[Event]:
        at = self._stream.at
        if self._stream.buffered():
            await asyncio.sleep(0)  # other checks have their turn between two pieces
        if not (data := await self._stream.read(_PIECE)):
            raise fail(ErrorType.EMPTY_RESPONSE, f"{at} closed the connection before its answer")
        if self._left == self._max and data.startswith(b"HTTP/1"):
            raise fail(ErrorType.PROTOCOL, f"{at} answers in HTTP/1, not in HTTP/2")
        self._left -= len(data)
        if self._left < 0:
            text = f"{at} sent more than {self._max} bytes before the end of its answer"
            raise fail(ErrorType.BODY_TOO_LARGE, text)
        try:
            events = self._connection.receive_data(data)
        except (H2Error, UnicodeError) as error:
            text = f"{at} does not speak HTTP/2: {error or type(error).__name__}"
            raise fail(ErrorType.PROTOCOL, text) from error
        self._events += len(events)
        if self._events > _MAX_EVENTS:
            text = f"{at} sent more than {_MAX_EVENTS} frames before the end of its answer"
            raise fail(ErrorType.BODY_TOO_LARGE, text)
        return events

    def _note(self, event: Event, reading: _Reading) -> None:
        at = self._stream.at
        match event:
            case ResponseReceived(stream_id=self._id):
                reading.headers = _texts(event.headers)
            case TrailersReceived(stream_id=self._id):
                reading.trailers = _texts(event.headers)
            case DataReceived(stream_id=self._id):
                reading.body += event.data or b""
                self._connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, self._id
                )
            case StreamEnded(stream_id=self._id):
                reading.ended = True
            case StreamReset(stream_id=self._id):
                text = f"{at} reset the stream of the call: {_code(event.error_code)}"
                raise fail(ErrorType.CONNECTION_RESET, text)
            case ConnectionTerminated():
                text = f"{at} ended the HTTP/2 connection: {_code(event.error_code)}"
                raise fail(ErrorType.PROTOCOL, text)


def _texts(headers: object) -> Headers:
    assert isinstance(headers, list)
    return tuple((_text(name).lower(), _text(value)) for name, value in headers)


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")


def _code(code: object) -> str:
    return str(getattr(code, "name", code)).replace("_", " ").lower()
