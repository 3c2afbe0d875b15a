"""With which authorization does each request of one check go out?"""

import secrets
import time
from dataclasses import replace

from uptimeo.probes.base import ProbeContext
from uptimeo.probes.curl import Request, Transfer, request_target
from uptimeo.probes.http.auth import BasicAuth, BearerAuth, DigestAuth, OAuth2Auth
from uptimeo.probes.http.digest import answer, strongest
from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.tokens import Send, Tokens
from uptimeo.probes.http.urls import origin

_UNAUTHORIZED = 401


class Credentials:
    """The credentials of one check; no origin but the first one's gets them.

    `token_ms` is how long a token took that had to be fetched: no time of the target.
    """

    def __init__(self, options: HttpOptions, tokens: Tokens, first: Request) -> None:
        self.token_ms: float | None = None
        self._options = options
        self._tokens = tokens
        self._home = origin(first.url)
        self._answered: str | None = None

    async def applied(self, request: Request, context: ProbeContext, send: Send) -> Request:
        """The request with its authorization. Raises TargetError if there is no token."""
        auth = self._options.auth
        if auth is None or request.authorization is not None or not self._at_home(request):
            return request
        match auth:
            case BasicAuth() | BearerAuth():
                return replace(request, authorization=auth.authorization)
            case OAuth2Auth():
                token = self._tokens.known(auth) or await self._fetched(auth, context, send)
                return replace(request, authorization=f"Bearer {token}")
            case DigestAuth():
                return request

    def retried(self, request: Request, transfer: Transfer) -> Request | None:
        """The request after one that was not authorized: once for each URL, if it may help.

        It answers the digest challenge, or replaces a token that was given up before its time.
        """
        auth = self._options.auth
        if transfer.status_code != _UNAUTHORIZED or not self._at_home(request):
            return None
        if self._answered == request.url:
            return None
        self._answered = request.url
        if isinstance(auth, DigestAuth):
            return self._answering(auth, request, transfer)
        if isinstance(auth, OAuth2Auth) and self.token_ms is None:
            self._tokens.forget(auth, (request.authorization or "").removeprefix("Bearer "))
            return replace(request, authorization=None)
        return None

    def _at_home(self, request: Request) -> bool:
        return origin(request.url) == self._home

    async def _fetched(self, auth: OAuth2Auth, context: ProbeContext, send: Send) -> str:
        began = time.perf_counter()
        try:
            return await self._tokens.fetched(auth, self._options, context, send)
        finally:
            self.token_ms = (time.perf_counter() - began) * 1000

    def _answering(self, auth: DigestAuth, request: Request, transfer: Transfer) -> Request | None:
        challenge = strongest(transfer.header_values("www-authenticate"))
        if challenge is None:
            return None
        authorization = answer(
            challenge,
            method=request.method,
            target=request_target(request.url),
            user=auth.username,
            password=auth.password.get_secret_value(),
            cnonce=secrets.token_hex(8),
        )
        return replace(request, authorization=authorization)
