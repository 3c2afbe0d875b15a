"""Rows of the matrix: the health service of grpcio, and the server of `websockets`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from threading import Thread
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, basic_auth, serve
from websockets.typing import Subprotocol

from tests.evidence.matrix_rows import TRUSTING, Expected, Program
from tests.support.grpc_servers import grpc_server
from tests.support.programs import HOST, Place
from uptimeo.domain.result import ErrorType

_STATUSES = {"": "SERVING", "shop.Orders": "SERVING", "shop.Search": "NOT_SERVING"}


def _importable(module: str) -> str | None:
    return module if find_spec(module) else None


@contextmanager
def _grpcio(_program: str, place: Place) -> Iterator[None]:
    pair = (place.key().read_bytes(), place.chain().read_bytes())
    with (
        grpc_server(_STATUSES) as plain,
        grpc_server(_STATUSES, pair=pair) as secure,
        grpc_server(_STATUSES, guarded=True) as guarded,
    ):
        place.ports |= {"plain": plain, "secure": secure, "guarded": guarded}
        yield


def _serving(says: str, port: str, error: ErrorType | None = None, **options: Any) -> Expected:
    scheme = "grpcs" if port == "secure" else "grpc"
    url = f"{scheme}://localhost:{{{port}}}"
    return Expected(says=says, url=url, options=options, error=error)


_UP = "shop.Orders"
_GRPC = (
    _serving("the whole server", "plain"),
    _serving("a service", "plain", service=_UP),
    _serving(
        "a service that does not serve", "plain", ErrorType.NOT_SERVING, service="shop.Search"
    ),
    _serving("and should not", "plain", service="shop.Search", expected="NOT_SERVING"),
    _serving("a service that is not there", "plain", ErrorType.NOT_SERVING, service="other"),
    _serving("without credentials", "guarded", ErrorType.AUTHENTICATION),
    _serving("with credentials", "guarded", metadata={"token": "right"}),
    _serving("a service over TLS", "secure", service=_UP, **TRUSTING),
    _serving("a certificate that is not trusted", "secure", ErrorType.TLS_UNTRUSTED),
    Expected(
        says="TLS where none is spoken",
        url="grpcs://localhost:{plain}",
        options=TRUSTING,
        error=ErrorType.TLS,
    ),
    Expected(
        says="its certificate",
        url="tls://localhost:{secure}",
        options=TRUSTING,
    ),
)


@contextmanager
def _websockets(_program: str, place: Place) -> Iterator[None]:
    secured = place.zoo.animals["good"].server()
    guard = basic_auth(credentials=("ann", "secret"))
    with ExitStack() as stack:
        for name, given in (
            ("plain", {}),
            ("secure", {"ssl": secured}),
            ("guarded", {"process_request": guard}),
            ("mqtt", {"subprotocols": [Subprotocol("mqtt")]}),
        ):
            server = stack.enter_context(serve(_echo, HOST, 0, **given))
            place.ports[name] = server.socket.getsockname()[1]
            stack.enter_context(_running(server))
        yield


@contextmanager
def _running(server: Server) -> Iterator[None]:
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):  # also without goodbye
        for message in connection:
            connection.send(message)


def _talked(says: str, port: str, error: ErrorType | None = None, **options: Any) -> Expected:
    scheme = "wss" if port == "secure" else "ws"
    url = f"{scheme}://localhost:{{{port}}}/"
    return Expected(says=says, url=url, options=options, error=error)


def _steps(*steps: tuple[str, str]) -> dict[str, Any]:
    return {"steps": [dict([step]) for step in steps]}


_LONG = "x" * 70_000
_WS = (
    _talked("a handshake", "plain"),
    _talked("a message and its echo", "plain", **_steps(("send", "a"), ("expect", "a"))),
    _talked(
        "another echo than expected",
        "plain",
        ErrorType.UNEXPECTED,
        **_steps(("send", "a"), ("expect", "b")),
    ),
    _talked("bytes", "plain", **_steps(("send_base64", "AAEC"), ("expect_base64", "AAEC"))),
    _talked("a long message", "plain", **_steps(("send", _LONG), ("expect_regex", "^x{70000}$"))),
    _talked("silence", "plain", ErrorType.FIRST_BYTE_TIMEOUT, **_steps(("expect", "a"))),
    _talked("over TLS", "secure", **TRUSTING, **_steps(("send", "a"), ("expect", "a"))),
    _talked("a certificate that is not trusted", "secure", ErrorType.TLS_UNTRUSTED),
    _talked("a subprotocol", "mqtt", subprotocols=["mqtt"]),
    _talked("a subprotocol that is refused", "mqtt", ErrorType.HTTP_STATUS, subprotocols=["amqp"]),
    _talked("and one that is ignored", "plain", ErrorType.UNEXPECTED, subprotocols=["amqp"]),
    _talked("without credentials", "guarded", ErrorType.HTTP_STATUS),
    Expected(says="with credentials", url="ws://ann:secret@localhost:{guarded}/"),
)

PROGRAMS = (
    Program(
        name="grpcio health",
        package="grpcio-health-checking from PyPI",
        find=partial(_importable, "grpc_health"),
        start=_grpcio,
        checks=_GRPC,
    ),
    Program(
        name="websockets",
        package="websockets from PyPI",
        find=partial(_importable, "websockets"),
        start=_websockets,
        checks=_WS,
    ),
)
