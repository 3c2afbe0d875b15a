"""Does a WebSocket open, and answer as it should? Probe types `ws`, `wss`."""

import asyncio
import base64
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from uptimeo import __version__
from uptimeo.probes.answers.concluding import concluded, with_tls
from uptimeo.probes.answers.matching import PatternTimeoutError
from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    Endpoint,
    ErrorType,
    Exchange,
    Phase,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    Stream,
    TargetError,
    Timeline,
    TlsOptions,
    fail,
    one_line,
    open_stream,
)
from uptimeo.probes.websocket.options import WebSocketOptions, WsStep, port_of
from uptimeo.probes.websocket.session import Headers, Opening, WsSession

_SHOWN = 100
_MESSAGES = "messages"


class WebSocketProbe(Probe[WebSocketOptions]):
    """One handshake, then the conversation; the phase `messages` is that of the latter."""

    options: ClassVar[type[ProbeOptions]] = WebSocketOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: WebSocketOptions, context: ProbeContext) -> ProbeResult:
        """Open, say and hear what the steps say, and take leave."""
        timeline, facts = Timeline(), dict[str, Any]()
        tls = (options.tls or TlsOptions()) if options.url.startswith("wss:") else None
        exchange = stream = None
        try:
            async with open_stream(_endpoint(options), context, timeline) as stream:
                if tls is not None:
                    await stream.start_tls(tls)
                session = WsSession(stream, options.max_bytes)
                opening = await _open(session, options, timeline)
                exchange = _exchange(options, opening)
                _judge_opening(opening, options, stream)
                if opening.subprotocol is not None:
                    facts["subprotocol"] = opening.subprotocol
                if options.steps:
                    with timeline.phase(_MESSAGES):
                        await _converse(session, options.steps, stream)
                result = timeline.result(facts=facts, exchange=exchange)
                await _leave(session)
            result = await concluded(result, options.assertions, stream.at, tls=stream.tls)
        except TargetError as error:
            result = timeline.result(error.failure, facts=facts, exchange=exchange)
        return with_tls(result, options, stream, self._steady)


def _endpoint(options: WebSocketOptions) -> Endpoint:
    parts = urlsplit(options.url)
    return Endpoint(
        host=unquote(parts.hostname or ""),
        port=port_of(parts),
        family=options.family,
        source=str(options.source) if options.source else None,
    )


async def _open(session: WsSession, options: WebSocketOptions, timeline: Timeline) -> Opening:
    parts = urlsplit(options.url)
    host = parts.netloc.rpartition("@")[2]
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    with timeline.phase(Phase.SEND):
        await session.ask(host, path, _headers(options, parts), options.subprotocols)
    with timeline.phase(Phase.WAIT):
        return await session.opening()


def _headers(options: WebSocketOptions, parts: SplitResult) -> Headers:
    headers = {"User-Agent": f"UptimeO/{__version__}"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    given = {name.lower() for name in options.headers}
    own = {name: value for name, value in headers.items() if name.lower() not in given}
    return (*own.items(), *options.headers.items())


def _judge_opening(opening: Opening, options: WebSocketOptions, stream: Stream) -> None:
    if opening.status != 101:
        text = f"status {opening.status} from {stream.at}, expected 101 (switching protocols)"
        raise fail(ErrorType.HTTP_STATUS, text, Phase.WAIT)
    if options.subprotocols and opening.subprotocol is None:
        offered = ", ".join(options.subprotocols)
        text = f"{stream.at} chose none of the subprotocols offered ({offered})"
        raise fail(ErrorType.UNEXPECTED, text, Phase.WAIT)


async def _converse(session: WsSession, steps: tuple[WsStep, ...], stream: Stream) -> None:
    for number, step in enumerate(steps, 1):
        try:
            if (message := step.sent()) is not None:
                await session.send(message)
            else:
                await _expect(step, await session.receive(), stream.at)
        except TargetError as error:
            text = f"step {number} of {len(steps)}: {error.failure.message}"
            raise TargetError(replace(error.failure, message=text)) from error


async def _expect(step: WsStep, message: str | bytes, at: str) -> None:
    try:
        fits = await asyncio.to_thread(step.fits, message)
    except PatternTimeoutError as error:
        raise fail(ErrorType.UNEXPECTED, f"{at}: {error}") from error
    if not fits:
        came = one_line(repr(message), _SHOWN)
        raise fail(ErrorType.UNEXPECTED, f"{at}: expected {step.expected()}, came {came}")


async def _leave(session: WsSession) -> None:
    try:
        await session.close()
    except TargetError:
        return  # the check has its result already


def _exchange(options: WebSocketOptions, opening: Opening) -> Exchange:
    return Exchange(
        request_headers=tuple(options.headers.items()),
        response_headers=opening.headers,
        status_code=opening.status,
        http_version="1.1",
    )
