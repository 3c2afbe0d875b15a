"""What is answered to whom? Three paths to look at, and nothing to change."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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
            packed = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(await exposition.packed(), 200, packed, CONTENT_TYPE)
        return Response(await exposition.text(), 200, {"Vary": "Accept-Encoding"}, CONTENT_TYPE)

    app = Starlette(
        routes=[
            Route("/healthz", healthz, methods=_METHODS),
            Route("/readyz", readyz, methods=_METHODS),
            Route("/metrics", metrics, methods=_METHODS),
        ]
    )
    app.router.redirect_slashes = False
    return app


def _said(verdict: Verdict) -> Response:
    return JSONResponse(verdict.body, 200 if verdict.good else 503, {"Cache-Control": "no-store"})
