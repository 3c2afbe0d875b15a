"""What does a job hear when it calls? One path, and one answer to whatever else is asked.

Nothing of a request is in an answer, nothing is listed, and a token that nobody has is answered as
a path that does not exist.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.signal import SignalKind
from uptimeo.domain.text import storable
from uptimeo.receiver.attendance import Attendance
from uptimeo.receiver.rates import Rate, RateLimit

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
_EXIT_STATUS = re.compile(r"\d{1,3}")
_KEPT_BYTES = 10_240
_READ_BYTES = 1_048_576
_BODY_S = 10.0
_STORE_S = 3.0
_PER_TOKEN = Rate(burst=30, per_s=1)
_PER_SOURCE = Rate(burst=200, per_s=50)


class SignalInbox(Protocol):
    """Where signals are kept."""

    async def receive(
        self, token_sha256: str, kind: SignalKind, exit_status: int | None, source: str, body: str
    ) -> bool:
        """Keep a signal; False if nobody has that token. Raises TransientError."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a path means."""

    token_sha256: str
    kind: SignalKind
    exit_status: int | None = None


class BodyTooLargeError(Exception):
    """A job sent more than anybody reads."""


def read_path(token: str, word: str) -> Call | None:
    """`/ping/<token>` and `/ping/<token>/<word>`; None for anything else."""
    if not _TOKEN.fullmatch(token):
        return None
    digest = sha256(token.encode()).hexdigest()
    if _EXIT_STATUS.fullmatch(word) and int(word) <= 255:
        return Call(digest, SignalKind.EXIT, int(word))
    kinds = {"": SignalKind.SUCCESS, "start": SignalKind.START, "fail": SignalKind.FAIL}
    return Call(digest, kinds[word]) if word in kinds else None


def make_app(inbox: SignalInbox, attendance: Attendance) -> Starlette:
    """The application; `attendance` learns of each signal that could not be stored."""
    receiver = _Receiver(inbox, attendance)
    methods = ["GET", "HEAD", "POST"]
    app = Starlette(
        routes=[
            Route("/ping/{token}", receiver.ping, methods=methods),
            Route("/ping/{token}/{word}", receiver.ping, methods=methods),
            Route("/health", receiver.health, methods=["GET", "HEAD"]),
            Route("/alive", _alive, methods=["GET", "HEAD"]),
        ],
        exception_handlers={404: _nothing, 405: _nothing},
    )
    app.router.redirect_slashes = False
    return app


class _Receiver:
    def __init__(self, inbox: SignalInbox, attendance: Attendance) -> None:
        self._inbox = inbox
        self._attendance = attendance
        self._tokens = RateLimit(_PER_TOKEN)
        self._sources = RateLimit(_PER_SOURCE)

    async def ping(self, request: Request) -> Response:
        """Take a signal: 200 only once it is stored."""
        source = request.client.host if request.client else ""
        call = read_path(request.path_params["token"], request.path_params.get("word", ""))
        now_s = time.monotonic()
        if not self._sources.allows(source, now_s):
            return _said(429, "too many calls", {"Retry-After": "1"})
        if call is None:
            return _not_found()
        if not self._tokens.allows(call.token_sha256, now_s):
            return _said(429, "too many calls", {"Retry-After": "1"})
        try:
            return await self._store(call, source, await _body(request))
        except BodyTooLargeError:
            return _said(413, "too large")
        except (TimeoutError, ClientDisconnect):
            return _said(408, "too slow")

    async def health(self, _request: Request) -> Response:
        """Whether signals can be stored, for a load balancer."""
        return _said(200, "ok") if self._attendance.present else _said(503, "not now")

    async def _store(self, call: Call, source: str, body: str) -> Response:
        try:
            async with asyncio.timeout(_STORE_S):
                known = await self._inbox.receive(
                    call.token_sha256, call.kind, call.exit_status, source, body
                )
        except (TransientError, RejectedError, TimeoutError):
            self._attendance.interrupt()
            return _said(503, "not stored, call again", {"Retry-After": "5"})
        return _said(200, "ok") if known else _not_found()


async def _body(request: Request) -> str:
    """The beginning of the body; the rest is read and forgotten."""
    kept, size = bytearray(), 0
    async with asyncio.timeout(_BODY_S):
        async for part in request.stream():
            size += len(part)
            if size > _READ_BYTES:
                raise BodyTooLargeError
            kept += part[: _KEPT_BYTES - len(kept)]
    return storable(kept.decode("utf-8", "replace"), _KEPT_BYTES)


async def _alive(_request: Request) -> Response:
    """For whoever restarts what does not answer."""
    return _said(200, "ok")


async def _nothing(_request: Request, _error: Exception) -> Response:
    return _not_found()


def _not_found() -> Response:
    return _said(404, "not found")


def _said(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, {"Cache-Control": "no-store", **(headers or {})})
