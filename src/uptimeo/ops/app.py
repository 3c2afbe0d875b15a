"""What is answered to whom? Three paths to look at, and nothing to change."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from uptimeo.ops.exposition import Exposition
from uptimeo.ops.facts import AgentFacts
from uptimeo.ops.health import Verdict, health, readiness
from uptimeo.ops.metrics import CONTENT_TYPE

_METHODS = ["GET"]  # Starlette adds HEAD


def make_app(facts: Callable[[], AgentFacts], exposition: Exposition) -> Starlette:
    """The application. Every answer is made of what is in memory: none asks a disk or a peer."""

    async def healthz(_request: Request) -> Response:
        return _said(health(facts()))

    async def readyz(_request: Request) -> Response:
        return _said(readiness(facts()))

    async def metrics(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            return _Pieces(await exposition.packed(), {"Content-Encoding": "gzip"})
        return _Pieces(await exposition.text(), {})

    app = Starlette(
        routes=[
            Route("/healthz", healthz, methods=_METHODS),
            Route("/readyz", readyz, methods=_METHODS),
            Route("/metrics", metrics, methods=_METHODS),
        ]
    )
    app.router.redirect_slashes = False
    return app


class _Pieces(Response):
    """A body that is sent piece by piece, as fast as the scraper takes it.

    Starlette's own streaming starts tasks, and the first time loads a library for 20 ms.
    """

    def __init__(self, pieces: Sequence[bytes], headers: Mapping[str, str]) -> None:
        length = {"Content-Length": str(sum(map(len, pieces))), "Vary": "Accept-Encoding"}
        super().__init__(None, 200, {**length, **headers}, CONTENT_TYPE)
        self._pieces = pieces

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


def _said(verdict: Verdict) -> Response:
    return JSONResponse(verdict.body, 200 if verdict.good else 503, {"Cache-Control": "no-store"})
