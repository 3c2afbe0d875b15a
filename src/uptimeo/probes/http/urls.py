"""Can this URL be requested, whom does it name, and how is it shown? Pure."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

import idna

from uptimeo.probes.curl import assert_parsable

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_HOST = re.compile(r"[a-z0-9._-]+")


def assert_requestable(url: str) -> None:
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
    assert_parsable(url)


def assert_proxy(url: str) -> None:
    """Raise ValueError with the reason why that cannot be a proxy."""
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("the proxy contains a space or a control character")
    parts = urlsplit(url)
    if parts.scheme not in _PROXY_SCHEMES:
        raise ValueError(f"the proxy must start with {'://, '.join(_PROXY_SCHEMES)}://")
    if not parts.hostname or parts.port == 0:
        raise ValueError("the proxy names no host, or port 0")
    if parts.path.strip("/") or parts.query:
        raise ValueError("the proxy is host and port, without a path")
    assert_parsable(ascii_url(url))


def assert_endpoint(text: str) -> None:
    """Raise ValueError unless it is HOST or HOST:PORT."""
    if not text or any(c.isspace() or not c.isprintable() or c in "/@?#" for c in text):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    if not urlsplit(f"//{text}").hostname or urlsplit(f"//{text}").port == 0:
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")


def ascii_url(url: str) -> str:
    """The URL with a host of other letters in Punycode: our libcurl cannot (no libidn2).

    Raises ValueError if the host is no name.
    """
    parts = urlsplit(url)
    host = unquote(parts.hostname or "", errors="replace")
    if host.isascii():
        return url
    user, at, _ = parts.netloc.rpartition("@")
    port = "" if parts.port is None else f":{parts.port}"
    return parts._replace(netloc=f"{user}{at}{ascii_host(host)}{port}").geturl()


def ascii_host(host: str) -> str:
    """A host name in Punycode (UTS 46, IDNA 2008). Raises ValueError if it is none."""
    if host.isascii():
        return host
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        found = ".".join(
            label if label.isascii() else idna.alabel(label).decode() for label in labels
        )
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"{host!r} is no host name: {error}") from error
    if not _HOST.fullmatch(found):
        raise ValueError(f"{host!r} is no host name")
    return found


def ascii_endpoint(text: str) -> str:
    """HOST or HOST:PORT in small letters, the host in Punycode. Raises ValueError."""
    if text.isascii():
        return text.lower()
    host, colon, port = text.partition(":")
    return f"{ascii_host(host.lower())}{colon}{port}"


def origin(url: str) -> tuple[str, str | None, int]:
    """Scheme, host and port: within one origin, credentials may be sent again."""
    parts: SplitResult = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def shown(url: str) -> str:
    """A URL from outside, without credentials and query, for a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is not a URL"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
