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
from uptimeo.ops.probing import Prober

_METHODS = ["GET"]  # Starlette adds HEAD


def make_app(
    facts: Callable[[], AgentFacts], exposition: Exposition, prober: Prober | None = None
) -> Starlette:
    """The application. Every answer is made of what is in memory: none asks a disk or a peer.

    With a prober there is a fourth path, which has a target checked that the caller names.
    """

    async def healthz(_request: Request) -> Response:
        return _said(health(facts()))

    async def readyz(_request: Request) -> Response:
        return _said(readiness(facts()))

    async def metrics(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            return _Pieces(await exposition.packed(), {"Content-Encoding": "gzip"})
        return _Pieces(await exposition.text(), {})

    routes = [
        Route("/healthz", healthz, methods=_METHODS),
        Route("/readyz", readyz, methods=_METHODS),
        Route("/metrics", metrics, methods=_METHODS),
    ]
    if prober is not None:
        routes.append(_probe_route(prober))
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


def _probe_route(prober: Prober) -> Route:
    async def probe(request: Request) -> Response:
        timeout = request.headers.get("x-prometheus-scrape-timeout-seconds")
        answer = await prober.probe(request.query_params, timeout)
        headers = {"Cache-Control": "no-store"}
        return Response(answer.text, answer.status, headers, CONTENT_TYPE)

    return Route("/probe", probe, methods=_METHODS)


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
