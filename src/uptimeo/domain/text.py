"""What of a foreign text or body can PostgreSQL store, and a person read?"""

import json
import math
import re
from typing import Any

REDACTED = "[redacted]"
SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-amz-security-token",
        "api-key",
        "apikey",
        "private-token",
        "set-cookie2",
        "x-auth-key",
        "x-functions-key",
        "ocp-apim-subscription-key",
        "authentication-info",
    }
)
_SECRET_WORDS = ("token", "secret", "password", "passwd", "api-key", "apikey", "session-id")
_URL_HEADERS = frozenset({"location", "content-location", "referer", "refresh", "link"})
_URL_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY_VALUE = re.compile(r"([?&][^=&#\s>]*=)[^&#\s>]*")
_MAX_JSON_DEPTH = 64


def storable(text: str, limit: int) -> str:
    """`text` without NUL and lone surrogates (PostgreSQL refuses both), cut to `limit`."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    clean = clean.encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def one_line(text: str, limit: int) -> str:
    """`storable` text with every control character made visible: no forged log lines."""
    shown = (c if c.isprintable() else repr(c)[1:-1] for c in storable(text, limit))
    return storable("".join(shown), limit)


def is_secret_header(name: str) -> bool:
    """Whether the value of that header must never be stored or shown."""
    lower = name.lower()
    return lower in SECRET_HEADERS or any(word in lower for word in _SECRET_WORDS)


def masked(connection: str) -> str:
    """A connection string for a message: its password replaced.

    The string may be malformed, with `@`, `/` or no scheme: rather too much is replaced.
    """
    without = re.sub(r"(?s):(?!//).*@", f":{REDACTED}@", connection)
    value = r"'(?:\\.|[^'\\])*'?|(?:\\.|[^\s\\])+"
    return re.sub(rf"(?is)(password\s*=\s*)(?:{value})", rf"\1{REDACTED}", without)


def storable_headers(headers: tuple[tuple[str, str], ...], limit: int = 4096) -> dict[str, str]:
    """Headers for a jsonb column: secrets redacted, repeats joined, `limit` characters in all.

    Of a URL, the values in its query and its user and password count as secrets.
    """
    kept: dict[str, str] = {}
    left = limit
    for name, value in headers:
        key = storable(name, 100)
        shown = _shown_header(name, value)
        left -= len(key) + len(shown) + (len(", ") if key in kept else 0)
        if left < 0:
            break
        kept[key] = f"{kept[key]}, {shown}" if key in kept else shown
    return kept


def _shown_header(name: str, value: str) -> str:
    if is_secret_header(name):
        return REDACTED
    if name.lower() in _URL_HEADERS:
        value = _QUERY_VALUE.sub(rf"\1{REDACTED}", _URL_USER.sub(REDACTED + "@", value))
    return storable(value, 1000)


def storable_body(body: bytes, *, truncated: bool, limit: int = 16_384) -> Any:
    """A body for a jsonb column: parsed if it is whole and harmless JSON, otherwise a string."""
    text = body[:limit].decode("utf-8", "replace")
    if not truncated and len(body) <= limit:
        try:
            parsed = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            pass
        else:
            if _is_harmless(parsed, _MAX_JSON_DEPTH):
                return parsed
    return storable(text, limit)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(digits)
    return value


def _is_harmless(value: Any, depth: int) -> bool:
    """PostgreSQL's jsonb refuses NUL, lone surrogates and deep nesting."""
    match value:
        case str():
            return value == storable(value, len(value) + 1)
        case dict():
            return depth > 0 and all(
                _is_harmless(k, 1) and _is_harmless(v, depth - 1) for k, v in value.items()
            )
        case list():
            return depth > 0 and all(_is_harmless(v, depth - 1) for v in value)
        case _:
            return True
