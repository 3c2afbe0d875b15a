"""What may a monitor say about a WebSocket, and about the conversation on it?"""

import base64
import binascii
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    field_validator,
    model_validator,
)

from uptimeo.probes.answers.matching import Pattern, occurs
from uptimeo.probes.base import Assertions, Family, ProbeOptions, TlsOptions

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OWN_HEADERS = frozenset({"host", "connection", "upgrade"})


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("must be base64") from error
    return text


_Base64 = Annotated[str, Field(max_length=100_000), AfterValidator(_base64)]


class WsStep(BaseModel):
    """Send a message, or expect one: exactly one of the five."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    send: str | None = Field(default=None, max_length=100_000, description="Send this text.")
    send_base64: _Base64 | None = Field(
        default=None, description="Send these bytes, as a binary message."
    )
    expect: str | None = Field(
        default=None, max_length=100_000, description="The next message is exactly this text."
    )
    expect_base64: _Base64 | None = Field(
        default=None, description="The next message is binary, and exactly these bytes."
    )
    expect_regex: Pattern | None = Field(
        default=None, description="In the next message this pattern is found."
    )

    @model_validator(mode="after")
    def _one_word(self) -> "WsStep":
        if sum(value is not None for _, value in self) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(type(self).model_fields)}")
        return self

    def sent(self) -> str | bytes | None:
        """What this step sends; None if it expects."""
        return _decoded(self.send, self.send_base64)

    def expected(self) -> str:
        """What this step expects, in words."""
        if self.expect_regex is not None:
            return f"a message that matches {self.expect_regex!r}"
        return repr(_decoded(self.expect, self.expect_base64))

    def fits(self, message: str | bytes) -> bool:
        """Whether a message is as expected. Raises PatternTimeoutError."""
        if self.expect_regex is not None:
            text = message if isinstance(message, str) else message.decode("utf-8", "replace")
            return occurs(self.expect_regex, text)
        return message == _decoded(self.expect, self.expect_base64)


class WebSocketOptions(ProbeOptions):
    """What a monitor may say about a WebSocket check."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="ws://host:port/path, or wss:// with TLS; user and password are sent.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="Headers of the handshake, also Origin."
    )
    subprotocols: tuple[str, ...] = Field(
        default=(), max_length=10, description="Offered; with any, the server has to choose one."
    )
    steps: tuple[WsStep, ...] = Field(
        default=(), max_length=20, description="What is sent and expected, in order."
    )
    max_bytes: int = Field(
        default=1_048_576, ge=1024, le=16_777_216, description="Received at most, in bytes."
    )
    family: Family = Field(
        default=Family.ANY, description="Which addresses of the host to try: v4, v6 or any."
    )
    source: IPvAnyAddress | None = Field(
        default=None, description="The address of the agent's host to connect from."
    )
    tls: TlsOptions | None = Field(default=None, description="TLS options, for wss://.")
    assertions: Assertions = Field(
        default=(), description="What else has to hold, such as a latency or days left."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("may have printable ASCII only: encode the rest")
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname or not port_of(parts):
            raise ValueError("must have the form ws://host/path or wss://host/path")
        return url

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            lower = name.lower()
            if lower in _OWN_HEADERS or lower.startswith("sec-websocket"):
                raise ValueError(f"header {name} belongs to the handshake itself")
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"{name.partition(':')[0][:50]!r} or its value is no header")
        return headers

    @field_validator("subprotocols")
    @classmethod
    def _subprotocols(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_TOKEN.fullmatch(name) for name in names):
            raise ValueError("a subprotocol must be one word such as mqtt")
        return names

    @model_validator(mode="after")
    def _tls_fits_scheme(self) -> "WebSocketOptions":
        if self.tls is not None and not self.url.startswith("wss:"):
            raise ValueError("tls: needs a URL that begins with wss://")
        return self

    @property
    def target(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _decoded(text: str | None, encoded: str | None) -> str | bytes | None:
    return text if encoded is None else base64.b64decode(encoded)


def port_of(parts: SplitResult) -> int:
    """The port that a URL names or means; 0 if what it names is no port."""
    try:
        given = parts.port
    except ValueError:
        return 0
    return given if given is not None else 443 if parts.scheme == "wss" else 80
