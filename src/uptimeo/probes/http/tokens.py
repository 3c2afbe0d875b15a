"""Which token has a monitor's client, and how long is it good for?"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

from uptimeo.domain.result import OUR_FAULTS
from uptimeo.probes.base import ErrorType, ProbeContext, TargetError, fail, one_line
from uptimeo.probes.curl import Request, Route, Transfer
from uptimeo.probes.http.auth import OAuth2Auth
from uptimeo.probes.http.failures import seen
from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.urls import ascii_url, shown

_MAX_TOKENS = 1000
_MAX_ANSWER_BYTES = 65_536
_UNSAID_LIFETIME_S = 60.0
_MARGIN_S = 30.0

# Sends a request through the monitor's proxy and its overrides; raises TargetError.
Send = Callable[[Request], Awaitable[Transfer]]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and until when on the monotonic clock it is used."""

    value: str
    good_until: float


class Tokens:
    """Fetches tokens and keeps them; of several checks that need the same one, one asks."""

    def __init__(self) -> None:
        self._tokens: dict[OAuth2Auth, Token] = {}
        self._asking: dict[OAuth2Auth, asyncio.Lock] = {}

    def known(self, auth: OAuth2Auth) -> str | None:
        """A token that was fetched before and is still good."""
        token = self._tokens.get(auth)
        return token.value if token is not None and time.monotonic() < token.good_until else None

    def forget(self, auth: OAuth2Auth, value: str) -> None:
        """Give up a token that a server did not accept."""
        if (token := self._tokens.get(auth)) is not None and token.value == value:
            del self._tokens[auth]

    async def fetched(
        self, auth: OAuth2Auth, options: HttpOptions, context: ProbeContext, send: Send
    ) -> str:
        """A token from the server. Raises TargetError (token_error), by the check's deadline."""
        try:
            async with self._alone(auth, context):
                if (known := self.known(auth)) is not None:
                    return known
                token = await _ask(auth, options, context, send)
                if len(self._tokens) >= _MAX_TOKENS:
                    del self._tokens[next(iter(self._tokens))]
                self._tokens[auth] = token
                return token.value
        except TargetError as error:
            if error.failure.type in OUR_FAULTS or error.failure.type is ErrorType.TOKEN:
                raise
            text = f"no token from {shown(auth.token_url)}: {error.failure.message}"
            raise fail(ErrorType.TOKEN, text) from error

    @asynccontextmanager
    async def _alone(self, auth: OAuth2Auth, context: ProbeContext) -> AsyncIterator[None]:
        lock = self._asking.setdefault(auth, asyncio.Lock())
        try:
            async with asyncio.timeout(context.remaining_s()):
                await lock.acquire()
        except TimeoutError as error:
            text = f"no token from {shown(auth.token_url)} within {context.timeout_ms} ms"
            raise fail(ErrorType.TOKEN, text) from error
        try:
            yield
        finally:
            lock.release()
            # Who waits for it keeps it; the next one to come makes another.
            if self._asking.get(auth) is lock and not lock.locked():
                del self._asking[auth]


async def _ask(auth: OAuth2Auth, options: HttpOptions, context: ProbeContext, send: Send) -> Token:
    began = time.monotonic()
    transfer = await send(_request(auth, options, context))
    where = f"{shown(auth.token_url)} ({seen(transfer)})"
    answer: Any = None
    with suppress(ValueError, RecursionError):
        answer = json.loads(transfer.body_start)
    found = answer if isinstance(answer, dict) else {}
    if transfer.status_code != 200:
        # RFC 6749, 5.2: the word says what was wrong, and is no secret.
        word = found.get("error")
        reason = f", {one_line(word, 100)}" if isinstance(word, str) else ""
        raise fail(
            ErrorType.TOKEN, f"no token from {where}: HTTP status {transfer.status_code}{reason}"
        )
    value = found.get("access_token")
    if not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
        raise fail(ErrorType.TOKEN, f"no token from {where}: its answer has no access_token")
    return Token(value, began + _lifetime_s(found.get("expires_in")))


def _lifetime_s(given: object) -> float:
    """How long a token is used: less than it lasts, so that it does not expire on the way."""
    try:
        seconds = float(given) if isinstance(given, int | float | str) else _UNSAID_LIFETIME_S
    except ValueError:
        seconds = _UNSAID_LIFETIME_S
    return max(0.0, seconds - min(_MARGIN_S, seconds / 10))


def _request(auth: OAuth2Auth, options: HttpOptions, context: ProbeContext) -> Request:
    form = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
    authorization = None
    secret = auth.client_secret.get_secret_value()
    if auth.credentials_in == "body":
        form |= {"client_id": auth.client_id, "client_secret": secret}
    else:  # RFC 6749, 2.3.1: each is encoded as in a form first
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    given = {name: value for name, value in form.items() if value is not None}
    return Request(
        url=ascii_url(auth.token_url),
        method="POST",
        headers=(
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
        ),
        body=urlencode(given).encode(),
        timeout_ms=context.remaining_s() * 1000,
        budget_ms=context.timeout_ms,
        max_body_bytes=_MAX_ANSWER_BYTES,
        keep_body_bytes=_MAX_ANSWER_BYTES,
        guard=context.guard,
        route=Route(dialled=""),
        tls=options.all_tls.model_copy(update={"server_name": None, "client_pem": None}),
        source=options.source,
        authorization=authorization,
    )
