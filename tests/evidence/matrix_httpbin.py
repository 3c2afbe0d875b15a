"""Rows of the matrix: httpbin, from PyPI, behind gunicorn and nginx.

It is installed into an environment of its own, which is removed at the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.evidence.matrix_rows import HTTPS_TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, environment, find
from uptimeo.domain.result import ErrorType


def _environment() -> str | None:
    """The Python of a new environment with httpbin, or None without nginx or a package index."""
    return environment("httpbin", "gunicorn") if find("nginx") is not None else None


@contextmanager
def _httpbin(python: str, place: Place) -> Iterator[None]:
    nginx = find("nginx")
    assert nginx is not None
    folders = "".join(
        f"{kind}_temp_path {place.folder(kind)};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    behind = f"proxy_pass http://{HOST}:{place.port('gunicorn')};proxy_set_header Host $http_host;"
    config = place.write(
        "nginx.conf",
        f"daemon off; worker_processes 1; pid {place.directory}/nginx.pid;"
        f"error_log stderr; events {{}} http {{ access_log off; {folders}"
        f"proxy_http_version 1.1; proxy_buffering off;"
        f"server {{ listen {HOST}:{place.port('http')}; location / {{ {behind} }} }}"
        f"server {{ listen {HOST}:{place.port('https')} ssl http2;"
        f" ssl_certificate {place.chain()}; ssl_certificate_key {place.key()};"
        f" location / {{ {behind} }} }} }}",
    )
    served = ["-m", "gunicorn", "--threads", "8", "--bind", f"{HOST}:{place.ports['gunicorn']}"]
    home = ["env", f"HOME={place.directory}", python]  # where gunicorn keeps a socket
    with (
        place.running([*home, *served, "httpbin:app"], "gunicorn"),
        place.running([nginx, "-c", str(config)], "http", "https"),
    ):
        yield


def _asked(says: str, path: str, error: ErrorType | None = None, **options: Any) -> Expected:
    return Expected(says=says, url=f"http://localhost:{{http}}{path}", options=options, error=error)


def _json(path: str, equals: Any) -> dict[str, Any]:
    return {"assertions": [{"kind": "json", "path": path, "equals": equals}]}


def _as(kind: str, password: str = "secret") -> dict[str, Any]:
    return {"auth": {"kind": kind, "username": "ann", "password": password}}


_REFUSED = ErrorType.AUTHENTICATION
_BIG = 102_400  # more is not to be had
_ROWS = (
    _asked("a page", "/get"),
    _asked("a teapot, which is expected", "/status/418", expected_status="418"),
    _asked("an error", "/status/503", ErrorType.HTTP_STATUS),
    _asked("a header that arrives", "/headers", headers={"X-One": "1"}, **_json("$..X-One", "1")),
    _asked("JSON that arrives", "/post", method="POST", body={"a": 1}, **_json("$.json.a", 1)),
    _asked(
        "a form that arrives",
        "/post",
        method="POST",
        body={"a": "1 2"},
        body_format="form",
        **_json("$.form.a", "1 2"),
    ),
    _asked(
        "bytes that arrive",
        "/post",
        method="POST",
        body="AAH/",
        body_format="base64",
        **_json("$.data", "data:application/octet-stream;base64,AAH/"),
    ),
    _asked("another JSON than expected", "/json", ErrorType.ASSERTION, **_json("$..title", "x")),
    _asked(
        "JSON that follows a schema",
        "/json",
        assertions=[{"kind": "schema", "schema": {"required": ["slideshow"]}}],
    ),
    _asked("basic", "/basic-auth/ann/secret", **_as("basic")),
    _asked("basic, another password", "/basic-auth/ann/secret", _REFUSED, **_as("basic", "x")),
    _asked("digest, MD5", "/digest-auth/auth/ann/secret", **_as("digest")),
    _asked("digest, SHA-256", "/digest-auth/auth/ann/secret/SHA-256", **_as("digest")),
    _asked(
        "digest by an algorithm that RFC 7616 has not",
        "/digest-auth/auth/ann/secret/SHA-512",
        _REFUSED,
        **_as("digest"),
    ),
    _asked("digest, wrong", "/digest-auth/auth/ann/secret", _REFUSED, **_as("digest", "x")),
    _asked("bearer", "/bearer", auth={"kind": "bearer", "token": "abc"}),
    _asked("bearer, without", "/bearer", ErrorType.HTTP_STATUS),
    _asked("five redirects", "/redirect/5"),
    _asked("five absolute redirects", "/absolute-redirect/5"),
    _asked("eleven redirects", "/redirect/11", ErrorType.TOO_MANY_REDIRECTS),
    _asked(
        "a redirect that is judged", "/redirect/1", follow_redirects=False, expected_status="302"
    ),
    _asked("cookies along a redirect", "/cookies/set?a=b", **_json("$.cookies.a", "b")),
    _asked(
        "no cookies along a redirect",
        "/cookies/set?a=b",
        cookies=False,
        **_json("$.cookies", {}),
    ),
    _asked("gzip", "/gzip", compressed="gzip", **_json("$.gzipped", True)),
    _asked("deflate", "/deflate", compressed="deflate", **_json("$.deflated", True)),
    _asked("brotli", "/brotli", compressed="br", **_json("$.brotli", True)),
    _asked("UTF-8", "/encoding/utf8", assertions=[{"kind": "body", "contains": "∮ E⋅da = Q"}]),
    _asked("twenty lines, in pieces", "/stream/20"),
    _asked("a slow answer, in time", "/delay/1"),
    _asked("a slow answer, too late", "/delay/9", ErrorType.FIRST_BYTE_TIMEOUT),
    _asked(
        "bytes one by one, too slow",
        "/drip?duration=9&numbytes=9&delay=0",
        ErrorType.TRANSFER_TIMEOUT,
    ),
    _asked("a large body", f"/stream-bytes/{_BIG}", max_body_bytes=_BIG),
    _asked(
        "too large a body",
        f"/stream-bytes/{_BIG}",
        ErrorType.BODY_TOO_LARGE,
        max_body_bytes=_BIG - 1,
    ),
    _asked(
        "slower than asserted",
        "/delay/1",
        ErrorType.ASSERTION,
        assertions=[{"kind": "latency", "of": "wait", "max_ms": 500}],
    ),
    Expected(
        says="over TLS, by HTTP/2",
        url="https://localhost:{https}/get",
        options={**HTTPS_TRUSTING, "http_version": "2"},
    ),
    Expected(
        says="over TLS, its certificate soon to expire",
        url="https://localhost:{https}/get",
        options={**HTTPS_TRUSTING, "assertions": [{"kind": "certificate", "min_days": 90}]},
        error=ErrorType.ASSERTION,
    ),
)

PROGRAMS = (
    Program(
        name="httpbin",
        package="nginx-light, and httpbin from PyPI",
        find=_environment,
        start=_httpbin,
        checks=_ROWS,
    ),
)
