"""How is libcurl told what a request wants?"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pycurl

from uptimeo.probes.curl.transfer import Proxy, Request, host_and_port
from uptimeo.probes.network.tls import TlsOptions, nameless_file, trusted_ca_file

_HTTP_VERSIONS = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": pycurl.CURL_HTTP_VERSION_3ONLY,
}
_LOWEST = {
    "1.0": pycurl.SSLVERSION_TLSv1_0,
    "1.1": pycurl.SSLVERSION_TLSv1_1,
    "1.2": pycurl.SSLVERSION_TLSv1_2,
    "1.3": pycurl.SSLVERSION_TLSv1_3,
}
_HIGHEST = {
    "1.0": pycurl.SSLVERSION_MAX_TLSv1_0,
    "1.1": pycurl.SSLVERSION_MAX_TLSv1_1,
    "1.2": pycurl.SSLVERSION_MAX_TLSv1_2,
    "1.3": pycurl.SSLVERSION_MAX_TLSv1_3,
}
_OLD = ("1.0", "1.1")


@contextmanager
def configured(request: Request) -> Iterator[Any]:
    """A handle for the request, without its callbacks; closed at the end."""
    with ExitStack() as held:
        curl = pycurl.Curl()
        held.callback(curl.close)
        _configure_transfer(curl, request)
        _configure_addresses(curl, request)
        _configure_method(curl, request)
        _configure_tls(curl, request.tls, held)
        if request.proxy is not None:
            _configure_proxy(curl, request.proxy)
        yield curl


def wire_url(request: Request) -> str:
    """The URL that libcurl gets: the name for SNI and certificate is its host's."""
    if request.tls.server_name is None or not request.is_tls:
        return request.url
    return _with_host(request.url, request.tls.server_name)


def logical_url(request: Request, url: str | None) -> str | None:
    """A URL that libcurl derived from `wire_url`, with the monitor's own host again."""
    name = request.tls.server_name
    if url is None or name is None or not request.is_tls:
        return url
    try:
        same = urlsplit(url).hostname == name.lower()
    except ValueError:
        return url
    return _with_host(url, urlsplit(request.url).hostname or "") if same else url


def request_target(url: str) -> str:
    """Path and query as libcurl sends them: it takes out dots, and adds a missing slash."""
    parsed = pycurl.CurlUrl(url)
    return f"{parsed.path}?{parsed.query}" if parsed.query is not None else str(parsed.path)


def assert_parsable(url: str) -> None:
    """Raise ValueError with libcurl's reason if it takes that for no URL: it is stricter than we.

    Of any scheme, as those of proxies are. The URL is not shown: it may hold a password.
    """
    try:
        parsed = pycurl.CurlUrl(url.encode(), pycurl.U_NON_SUPPORT_SCHEME)
        for part in (pycurl.UPART_USER, pycurl.UPART_PASSWORD):
            parsed.getpart(part, pycurl.U_URLDECODE)  # which takes no control character
    except pycurl.error as error:
        raise ValueError(f"it is no URL: {error.args[1]}") from error


def _with_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return parts._replace(netloc=f"{user}{at}{shown}{port}").geturl()


def _configure_transfer(curl: Any, request: Request) -> None:
    curl.setopt(pycurl.URL, wire_url(request).encode())
    # Without NOSIGNAL libcurl uses SIGALRM, which crashes programs that have threads.
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    # A proxy from the environment would make every phase describe the proxy.
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.FORBID_REUSE, 1)
    curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    left_ms = max(1, int(request.timeout_ms))
    curl.setopt(pycurl.TIMEOUT_MS, left_ms)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, left_ms)
    if request.encodings and request.encodings != ("br",):  # that one is unpacked by ourselves
        curl.setopt(pycurl.ACCEPT_ENCODING, ", ".join(request.encodings))
    if request.http_version is not None:
        curl.setopt(pycurl.HTTP_VERSION, _http_version(request))
    if request.cookies is not None:
        curl.setopt(pycurl.COOKIEFILE, "")
        for line in request.cookies:
            curl.setopt(pycurl.COOKIELIST, line)


def _http_version(request: Request) -> int:
    if request.http_version == "2" and not request.is_tls:
        return int(pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    return int(_HTTP_VERSIONS[request.http_version or ""])


def _configure_addresses(curl: Any, request: Request) -> None:
    """Spare libcurl its own lookups: they queue for 20 threads, behind names without an answer."""
    entries = [
        f"{host}:{port}:{','.join(found)}".encode() for host, port, found in request.route.addresses
    ]
    if entries:
        curl.setopt(pycurl.RESOLVE, entries)
    instead = request.route.connect_to
    if instead is None and wire_url(request) != request.url:
        instead = host_and_port(request.url)
    if instead is not None:
        host = f"[{instead[0]}]" if ":" in instead[0] else instead[0]
        curl.setopt(pycurl.CONNECT_TO, [f"::{host}:{instead[1]}".encode()])


def _configure_method(curl: Any, request: Request) -> None:
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    else:
        if request.body is not None:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
    # An empty Expect: without it libcurl waits a second for "100 Continue" before a large body.
    lines = [_header_line(name, value) for name, value in _own_headers(request)]
    curl.setopt(pycurl.HTTPHEADER, [*lines, b"Expect:"])


def _own_headers(request: Request) -> tuple[tuple[str, str], ...]:
    given = (*request.all_headers, *_host(request))
    if request.encodings != ("br",):
        return given
    others = [pair for pair in given if pair[0].lower() != "accept-encoding"]
    return (*others, ("Accept-Encoding", "br"))


def _host(request: Request) -> tuple[tuple[str, str], ...]:
    """The host's own name, where the URL has that of the certificate instead."""
    given = any(name.lower() == "host" for name, _ in request.headers)
    if given or wire_url(request) == request.url:
        return ()
    return (("Host", urlsplit(request.url).netloc.rpartition("@")[2]),)


def _header_line(name: str, value: str) -> bytes:
    """libcurl takes `Name:` as "do not send" and `Name;` as "send it empty"."""
    return (f"{name}: {value}" if value.strip() else f"{name};").encode("utf-8", "replace")


def _configure_tls(curl: Any, tls: TlsOptions, held: ExitStack) -> None:
    if not tls.verify:
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    elif tls.ca_pem is not None:
        curl.setopt(pycurl.CAINFO_BLOB, tls.ca_pem.encode())
    else:
        curl.setopt(pycurl.CAINFO, trusted_ca_file())
    if tls.client_pem is not None:
        curl.setopt(pycurl.SSLCERT_BLOB, tls.client_pem.encode())
        curl.setopt(pycurl.SSLKEY_BLOB, tls.client_pem.encode())
    if tls.crl_pem is not None:
        curl.setopt(pycurl.CRLFILE, held.enter_context(nameless_file(tls.crl_pem)))
    if tls.min_version is not None or tls.max_version is not None:
        lowest = _LOWEST[tls.min_version or min("1.2", tls.max_version or "1.2")]
        highest = _HIGHEST[tls.max_version] if tls.max_version else 0
        curl.setopt(pycurl.SSLVERSION, lowest | highest)
    if tls.min_version in _OLD or tls.max_version in _OLD:
        curl.setopt(pycurl.SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0")  # OpenSSL 3 refuses them above


def _configure_proxy(curl: Any, proxy: Proxy) -> None:
    curl.setopt(pycurl.PROXY, proxy.url.encode())
    curl.setopt(pycurl.NOPROXY, "")  # whom to leave out was decided before
    if proxy.user is not None:
        curl.setopt(pycurl.PROXYUSERNAME, proxy.user.encode())
        curl.setopt(pycurl.PROXYPASSWORD, (proxy.password or "").encode())
    if proxy.ca_pem is not None:
        curl.setopt(pycurl.PROXY_CAINFO_BLOB, proxy.ca_pem.encode())
    else:
        curl.setopt(pycurl.PROXY_CAINFO, trusted_ca_file())
