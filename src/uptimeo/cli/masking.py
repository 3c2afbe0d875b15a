"""What of a monitor's options may a person see? Pure.

Secrets are known by their names and their forms; rather too much is hidden than too little. What
a step sends has neither: in a login it is the password itself, so it is never shown.
"""

import re
from collections.abc import Mapping
from typing import Any

from uptimeo.domain.redaction import is_sensitive_name
from uptimeo.domain.references import references
from uptimeo.domain.text import REDACTED

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_PARAMETER = re.compile(
    r"([?&][^=&#\s]*(?:token|secret|passw|pwd|key|sig|auth)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE
)
# `password=x`, `"token": "x"`, `PASSWORD 'x'` and the like, within a query or a body.
_SECRET_PAIR = re.compile(
    r"((?:passw|passphrase|pwd|secret|token|api[_-]?key|authorization)\w{0,40}[\"']?"
    r"(?:\s*(?:=>|:=|[:=>])\s*|\s+(?='))(?:(?:basic|bearer)\s+)?)"
    r"""("(?:\\.|[^"\\])*"?|'(?:''|\\.|[^'\\])*'?|[^\s&;,<]+)""",
    re.IGNORECASE,
)
_SENT = ("send", "send_base64")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")


def masked_url(url: str) -> str:
    """A URL without user and password, and without the values of parameters named like secrets."""
    return _SECRET_PARAMETER.sub(rf"\1{REDACTED}", _USER.sub("", url))


def masked_value(value: Any, name: str = "") -> Any:
    """A JSON value in which secrets are replaced; `name` is the key that it stands under."""
    if isinstance(value, Mapping):
        return {str(key): masked_value(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked_value(each, name) for each in value]
    if value is not None and not isinstance(value, bool) and is_sensitive_name(name):
        # A reference is no secret, but what stands beside it may be one.
        return " ".join(str(each) for each in sorted(references(value))) or REDACTED
    if isinstance(value, str) and name in _SENT:
        return f"{REDACTED} ({len(value)} characters)"
    return _masked_text(value) if isinstance(value, str) else value


def _masked_text(text: str) -> str:
    """A text without what only its form shows to be a secret; PEM is told by what is in it."""
    if pieces := _PEM.findall(text):
        return f"PEM: {', '.join(piece.lower() for piece in pieces)}"
    return _SECRET_PAIR.sub(rf"\1{REDACTED}", masked_url(text))
