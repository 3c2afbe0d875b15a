"""Which request is sent first, and which one after a redirect?"""

from dataclasses import replace
from urllib.parse import urlsplit

from uptimeo import __version__
from uptimeo.probes.base import ErrorType, Failure, ProbeContext, is_secret_header
from uptimeo.probes.curl import Request, Route, Transfer
from uptimeo.probes.http.bodies import encoded
from uptimeo.probes.http.failures import seen
from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.urls import ascii_url, assert_requestable, origin, shown

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_KEPT_BODY_BYTES = 16_384


def first_request(options: HttpOptions, context: ProbeContext) -> Request:
    """The request that the monitor describes, without a route."""
    defaults = {"User-Agent": f"UptimeO/{__version__}"}
    body, kind = encoded(options.body, options.body_format)
    if body is not None:
        defaults["Content-Type"] = kind
    given = {name.lower() for name in options.headers}
    headers = {k: v for k, v in defaults.items() if k.lower() not in given} | options.headers
    limit, kept = options.max_body_bytes, _KEPT_BODY_BYTES
    if any(assertion.reads_body for assertion in options.assertions):
        limit = kept = min(limit, context.limits.read_bytes)
    return Request(
        url=ascii_url(options.url),
        method=options.method,
        headers=tuple(headers.items()),
        body=body,
        timeout_ms=context.timeout_ms,
        budget_ms=context.timeout_ms,
        max_body_bytes=limit,
        keep_body_bytes=max(kept, _KEPT_BODY_BYTES),
        guard=context.guard,
        route=Route(dialled=""),
        tls=options.all_tls,
        http_version=options.http_version,
        encodings=options.encodings,
        cookies=() if options.cookies and options.follow_redirects else None,
        source=options.source,
    )


def refused_redirect(options: HttpOptions, transfer: Transfer, redirects: int) -> Failure | None:
    """Why the redirect of an answer is not followed; None if it is."""
    url = transfer.redirect_url or ""
    if redirects >= options.max_redirects:
        text = f"stopped after {redirects} redirects, on the way to {shown(url)}"
        return Failure(type=ErrorType.TOO_MANY_REDIRECTS, message=text)
    try:
        assert_requestable(url)
    except ValueError as error:
        text = f"{seen(transfer)} redirects to {shown(url)}: {error}"
        return Failure(type=ErrorType.REDIRECT_REFUSED, message=text)
    return None


def next_request(request: Request, transfer: Transfer) -> Request:
    """The request after a redirect, by RFC 9110 15.4: only 307 and 308 keep method and body.

    Credentials stay behind when the origin changes. Raises ValueError for a host that is no name.
    """
    url = transfer.redirect_url or request.url
    keeps = transfer.status_code in (307, 308) or request.method in _SAFE_METHODS
    dropped = set() if keeps else {"content-type", "content-length"}
    old, new = urlsplit(request.url), urlsplit(url)
    same = origin(url) == origin(request.url)
    if same and "@" not in new.netloc:  # libcurl resolves a relative redirect without them
        user, at, _ = old.netloc.rpartition("@")
        url = new._replace(netloc=user + at + new.netloc).geturl()
    headers = tuple(
        (name, value)
        for name, value in request.headers
        if name.lower() not in dropped
        and (same or not (is_secret_header(name) or name.lower() == "host"))
    )
    tls = request.tls
    if new.hostname != old.hostname:
        tls = tls.model_copy(update={"server_name": None, "client_pem": None})
    return replace(
        request,
        url=ascii_url(url),
        method=request.method if keeps else "GET",
        headers=headers,
        body=request.body if keeps else None,
        tls=tls,
        cookies=None if request.cookies is None else transfer.cookies,
        authorization=None,
    )
