"""Which bytes are a monitor's body, and what kind of bytes? Pure."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

BodyFormat = Literal["auto", "json", "text", "form", "base64"]


def encoded(body: Any, body_format: BodyFormat) -> tuple[bytes | None, str]:
    """The bytes to send, None for none, and their Content-Type. Raises ValueError.

    `auto`: a JSON string is sent as its text, every other JSON value as JSON.
    """
    if body is None:
        return None, ""
    if body_format == "form":
        return _form(body).encode(), "application/x-www-form-urlencoded"
    if body_format == "json" or (body_format == "auto" and not isinstance(body, str)):
        return json.dumps(body).encode("utf-8", "replace"), "application/json"
    if body_format == "base64":
        return _bytes(_text(body, body_format)), "application/octet-stream"
    return _text(body, body_format).encode("utf-8", "replace"), "text/plain; charset=utf-8"


def _text(body: Any, body_format: str) -> str:
    if isinstance(body, str):
        return body
    raise ValueError(f"a body sent as {body_format} must be a text")


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError("the body is not valid base64") from error


def _form(body: Any) -> str:
    if isinstance(body, Mapping):
        return urlencode(list(_pairs(body)))
    raise ValueError('a form is an object of names and values, such as {"user": "probe"}')


def _pairs(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A field with a list of values is sent once for each."""
    for name, value in body.items():
        for each in value if isinstance(value, list) else (value,):
            yield name, _field(name, each)


def _field(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool() | int() | float():
            return json.dumps(value)
    raise ValueError(f"the field {name!r} of the form holds no text")
