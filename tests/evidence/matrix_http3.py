"""Rows of the matrix: hypercorn, from PyPI, for HTTP/3.

It is installed into an environment of its own, which is removed at the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.evidence.matrix_rows import HTTPS_TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, environment
from uptimeo.domain.result import ErrorType

_PAGE = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    status = 404 if scope["path"] == "/missing" else 200
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": scope["http_version"].encode()})
"""


@contextmanager
def _hypercorn(python: str, place: Place) -> Iterator[None]:
    """By UDP and TCP on one port, as HTTP/3 is found; and one with an expired certificate."""
    place.write("page.py", _PAGE)
    with (
        place.running(_command(python, place, "https", "good"), "https"),
        place.running(_command(python, place, "expired", "expired"), "expired"),
    ):
        yield


def _command(python: str, place: Place, port: str, animal: str) -> list[str]:
    at = f"{HOST}:{place.port(port)}"
    files = ["--certfile", str(place.chain(animal)), "--keyfile", str(place.key(animal))]
    return [python, "-m", "hypercorn", "--bind", at, "--quic-bind", at, *files, "page:app"]


def _by(version: str, says: str, path: str = "/", **given: Any) -> Expected:
    options = dict(HTTPS_TRUSTING) | {"http_version": version}
    options["assertions"] = [{"kind": "body", "equals": version}]
    url = given.pop("url", "https://localhost:{https}")
    return Expected(says=says, url=url + path, options=options | given.pop("options", {}), **given)


_ROWS = (
    _by("3", "a page by HTTP/3"),
    _by("3", "a page with a request's body", options={"method": "POST", "body": "x" * 100_000}),
    _by("3", "a page that is not there", "/missing", error=ErrorType.HTTP_STATUS),
    _by(
        "3",
        "an authority that is not trusted",
        options={"ca_pem": None},
        error=ErrorType.TLS_UNTRUSTED,
    ),
    _by(
        "3",
        "an expired certificate",
        url="https://localhost:{expired}",
        error=ErrorType.TLS_EXPIRED,
    ),
    _by("2", "the same page by HTTP/2"),
    _by("1.1", "the same page by HTTP/1.1"),
)

PROGRAMS = (
    Program(
        name="hypercorn",
        package="hypercorn[h3] from PyPI",
        find=partial(environment, "hypercorn[h3]"),
        start=_hypercorn,
        checks=_ROWS,
    ),
)
