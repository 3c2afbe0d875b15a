"""Does this URL answer as it should, and where does the time go? Probe types `http`, `https`."""

import json
import re
import ssl
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from uptimeo import __version__
from uptimeo.domain.text import is_secret_header
from uptimeo.probes.base import (
    ErrorType,
    Exchange,
    Failure,
    Phase,
    Phases,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    Timeline,
    literal,
    resolve,
)
from uptimeo.probes.curl import CurlClient, Fault, Request, Transfer, host_and_port
from uptimeo.probes.http_failures import explain, seen
from uptimeo.probes.marks import Measured, measure
from uptimeo.probes.status_ranges import StatusRanges, in_ranges

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_FORBIDDEN_IN_VALUE = re.compile(r"[\r\n\x00]")
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class HttpOptions(ProbeOptions):
    """What a monitor may say about an HTTP check."""

    method: str = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    expected_status: StatusRanges = "200-299"
    follow_redirects: bool = True
    max_redirects: int = Field(default=10, ge=0, le=10)
    max_body_bytes: int = Field(default=1_048_576, ge=0, le=104_857_600)
    verify_tls: bool = True
    ca_pem: str | None = None

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        _assert_requestable(url)
        return url

    @field_validator("method")
    @classmethod
    def _method(cls, method: str) -> str:
        if not _TOKEN.fullmatch(method):
            raise ValueError("the method must be one word such as GET")
        return method.upper()

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                # Only the part before a colon: what follows it may be a secret.
                raise ValueError(f"{name.partition(':')[0]!r} is not a header name")
            if _FORBIDDEN_IN_VALUE.search(value):
                raise ValueError(f"the value of header {name} contains a line break or NUL")
        return headers

    @field_validator("ca_pem")
    @classmethod
    def _ca_pem(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, TypeError, ValueError) as error:
                raise ValueError("ca_pem holds no certificate in PEM format") from error
        return pem

    @model_validator(mode="after")
    def _body_fits_method(self) -> "HttpOptions":
        if self.body is not None and self.method == "HEAD":
            raise ValueError("a HEAD request cannot carry a body")
        return self

    @property
    def target(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self.url)
        bare = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=bare).geturl()

    def expects(self, status: int) -> bool:
        """Whether `expected_status` allows that status."""
        return in_ranges(self.expected_status, status)


class HttpProbe(Probe[HttpOptions]):
    """One request, then one more for each redirect: every hop a connection of its own."""

    options: ClassVar[type[ProbeOptions]] = HttpOptions

    def __init__(self) -> None:
        self._curl = CurlClient()

    async def probe(self, options: HttpOptions, context: ProbeContext) -> ProbeResult:
        """Follow the redirects within one budget; the phases are those of the last hop."""
        request = _first_request(options, context)
        earlier_ms = 0.0
        for hops in range(options.max_redirects + 2):
            request, failure = await _with_addresses(request, context)
            if failure is not None:
                return _unresolved(request, failure, earlier_ms if hops else None)
            transfer = await self._curl.send(request)
            hop = _measured(request, transfer)
            verdict = _judge_hop(options, request, transfer, hop, hops)
            if verdict != "follow":
                return _result(request, transfer, hop, earlier_ms if hops else None, verdict)
            earlier_ms += hop.total_ms
            request = _next_request(request, transfer, context.timeout_ms - earlier_ms)
        raise AssertionError("the redirect limit ends the loop")

    async def aclose(self) -> None:
        """Abandon the transfers in flight."""
        await self._curl.aclose()


def _assert_requestable(url: str) -> None:
    """Raise ValueError with the reason why no HTTP request can be sent there."""
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("the URL contains a space or a control character")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL must start with http:// or https://")
    if not parts.hostname:
        raise ValueError("the URL names no host")
    if parts.port == 0:  # reading `port` raises ValueError when it is not a number
        raise ValueError("port 0 cannot be connected to")


def _judge_hop(
    options: HttpOptions, request: Request, transfer: Transfer, hop: Measured, hops: int
) -> Failure | Literal["follow"] | None:
    """A failure, success (None), or "follow" the redirect that this hop answered with."""
    if transfer.error is not None:
        if hops and transfer.error.fault is Fault.URL:
            text = f"redirected to {_shown(request.url)}: {transfer.error.text}"
            return Failure(type=ErrorType.REDIRECT_REFUSED, message=text)
        return explain(request, transfer, hop)
    if options.follow_redirects and transfer.redirect_url is not None:
        return _refuse_redirect(options, transfer, hops) or "follow"
    status = transfer.status_code or 0
    if not options.expects(status):
        text = f"HTTP status {status} from {seen(transfer)}, expected {options.expected_status}"
        return Failure(type=ErrorType.HTTP_STATUS, message=text)
    return None


def _refuse_redirect(options: HttpOptions, transfer: Transfer, hops: int) -> Failure | None:
    url = transfer.redirect_url or ""
    if hops >= options.max_redirects:
        text = f"stopped after {hops} redirects, on the way to {_shown(url)}"
        return Failure(type=ErrorType.TOO_MANY_REDIRECTS, message=text)
    try:
        _assert_requestable(url)
    except ValueError as error:
        text = f"{seen(transfer)} redirects to {_shown(url)}: {error}"
        return Failure(type=ErrorType.REDIRECT_REFUSED, message=text)
    return None


def _result(
    request: Request,
    transfer: Transfer,
    hop: Measured,
    redirect_ms: float | None,
    failure: Failure | None,
) -> ProbeResult:
    before = redirect_ms or 0.0
    measured = {str(phase): value for phase, value in hop.phases.measured()}
    if redirect_ms is not None:
        measured[Phase.REDIRECT] = redirect_ms
    return ProbeResult(
        total_ms=before + hop.total_ms,
        phases=Phases.of(measured),
        ttfb_ms=None if hop.ttfb_ms is None else before + hop.ttfb_ms,
        resolved_ip=transfer.ip or _last_tried(transfer),
        failure=failure,
        exchange=Exchange(
            request_headers=request.headers,
            response_headers=transfer.headers,
            status_code=transfer.status_code,
            http_version=transfer.http_version,
            size_bytes=transfer.body_bytes if transfer.status_code else None,
            body_start=transfer.body_start,
            body_truncated=transfer.body_bytes > len(transfer.body_start),
        ),
    )


def _last_tried(transfer: Transfer) -> str | None:
    if not transfer.tried:
        return None
    return transfer.tried[-1].rpartition(":")[0].strip("[]").partition("%")[0]


def _first_request(options: HttpOptions, context: ProbeContext) -> Request:
    defaults = {"User-Agent": f"UptimeO/{__version__}"}
    if options.body is not None:
        text = isinstance(options.body, str)
        defaults["Content-Type"] = "text/plain; charset=utf-8" if text else "application/json"
    given = {name.lower() for name in options.headers}
    headers = {k: v for k, v in defaults.items() if k.lower() not in given} | options.headers
    return Request(
        url=options.url,
        method=options.method,
        headers=tuple(headers.items()),
        body=_encoded(options.body),
        timeout_ms=context.timeout_ms,
        max_body_bytes=options.max_body_bytes,
        verify_tls=options.verify_tls,
        ca_pem=options.ca_pem,
        guard=context.guard,
    )


def _encoded(body: Any) -> bytes | None:
    """A JSON string is sent as its text; every other JSON value as JSON."""
    if body is None:
        return None
    return (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "replace")


def _next_request(request: Request, transfer: Transfer, left_ms: float) -> Request:
    """The request after a redirect, by RFC 9110 15.4: only 307 and 308 keep method and body.

    Credentials stay behind when the origin changes.
    """
    url = transfer.redirect_url or request.url
    keeps = transfer.status_code in (307, 308) or request.method in _SAFE_METHODS
    dropped = set() if keeps else {"content-type", "content-length"}
    old, new = urlsplit(request.url), urlsplit(url)
    same = _origin(new) == _origin(old)
    if same and "@" not in new.netloc:  # libcurl resolves a relative redirect without them
        user, at, _ = old.netloc.rpartition("@")
        url = new._replace(netloc=user + at + new.netloc).geturl()
    headers = tuple(
        (name, value)
        for name, value in request.headers
        if name.lower() not in dropped
        and (same or not (is_secret_header(name) or name.lower() == "host"))
    )
    return Request(
        url=url,
        method=request.method if keeps else "GET",
        headers=headers,
        body=request.body if keeps else None,
        timeout_ms=max(1, int(left_ms)),
        max_body_bytes=request.max_body_bytes,
        verify_tls=request.verify_tls,
        ca_pem=request.ca_pem,
        guard=request.guard,
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_tls(url: str) -> bool:
    return urlsplit(url).scheme == "https"


async def _with_addresses(
    request: Request, context: ProbeContext
) -> tuple[Request, Failure | None]:
    """The request with the addresses of its host, or why there are none."""
    host, _ = host_and_port(request.url)
    if literal(host) is not None or "[" in urlsplit(request.url).netloc:
        return request, None
    timeline = Timeline()
    try:
        found = await resolve(host, context, timeline)
    except TargetError as error:
        return replace(request, lookup_ms=timeline.phases().total()), error.failure
    addresses = tuple(address.ip for address in found)
    return replace(request, addresses=addresses, lookup_ms=timeline.phases().total()), None


def _unresolved(request: Request, failure: Failure, redirect_ms: float | None) -> ProbeResult:
    return ProbeResult(
        total_ms=(redirect_ms or 0.0) + request.lookup_ms,
        phases=Phases(redirect=redirect_ms, dns=request.lookup_ms),
        failure=failure,
        exchange=Exchange(request_headers=request.headers),
    )


def _measured(request: Request, transfer: Transfer) -> Measured:
    """What libcurl measured, with the lookup before it; libcurl's own lookup finds it in memory."""
    hop = measure(transfer.marks, tls=_is_tls(request.url), literal=True)
    if not request.addresses:
        return hop
    return Measured(
        phases=replace(hop.phases, dns=request.lookup_ms),
        reached=hop.reached,
        ttfb_ms=None if hop.ttfb_ms is None else hop.ttfb_ms + request.lookup_ms,
        total_ms=hop.total_ms + request.lookup_ms,
    )


def _shown(url: str) -> str:
    """A URL from outside, without credentials and query, for a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is not a URL"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
