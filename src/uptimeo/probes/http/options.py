"""What may a monitor say about an HTTP check?"""

import ipaddress
import re
import ssl
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from uptimeo.probes.answers.families import Families
from uptimeo.probes.base import Assertions, ProbeOptions, StatusRanges, TlsOptions
from uptimeo.probes.http.auth import Auth
from uptimeo.probes.http.bodies import BodyFormat, encoded
from uptimeo.probes.http.urls import (
    ascii_endpoint,
    ascii_host,
    ascii_url,
    assert_endpoint,
    assert_proxy,
    assert_requestable,
)

ENVIRONMENT = "environment"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_FORBIDDEN_IN_VALUE = re.compile(r"[\r\n\x00]")


class HttpOptions(ProbeOptions):
    """What a monitor may say about an HTTP check."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="http:// or https:// and what follows; user:password@ is sent as Basic.",
    )
    method: str = Field(default="GET", description="The request method, one word.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Request headers; they replace our own of that name."
    )
    body: JsonValue = Field(default=None, description="The request body; see `body_format`.")
    body_format: BodyFormat = Field(
        default="auto",
        description="How the body is sent: `json`, `text`, `form` (an object of fields), `base64`"
        " (bytes); `auto` sends a string as text and anything else as JSON.",
    )
    expected_status: StatusRanges = Field(
        default="200-299",
        description='The statuses that count as up, such as "200-299,301". Without it, an assertion'
        " of kind `status` takes its place.",
    )
    assertions: Assertions = Field(default=(), description="What else the answer has to be like.")
    follow_redirects: bool = Field(
        default=True, description="Whether a redirect is followed, or judged itself."
    )
    max_redirects: int = Field(default=10, ge=0, le=10, description="How many are followed.")
    cookies: bool = Field(
        default=True, description="Whether cookies of an answer are sent along its redirects."
    )
    max_body_bytes: int = Field(
        default=1_048_576,
        ge=0,
        le=104_857_600,
        description="The largest body in bytes, decompressed. For assertions on the body at most"
        " 1 MiB is read.",
    )
    compressed: bool | Literal["gzip", "deflate", "br"] = Field(
        default=False,
        description="Whether to ask for a compressed answer, and decompress it: `true` for gzip or"
        " deflate. A `br` answer whose window is above 4 MiB is refused.",
    )
    http_version: Literal["1.1", "2", "3"] | None = Field(
        default=None,
        description="The version to speak; an answer in another one is down. Without it HTTP/2 is"
        " offered over TLS and any version is accepted.",
    )
    auth: Auth | None = Field(
        default=None, description="As whom to ask: `basic`, `bearer`, `digest` or `oauth2`."
    )
    verify_tls: bool = Field(default=True, description="The same as `tls.verify`.")
    ca_pem: str | None = Field(default=None, description="The same as `tls.ca_pem`.")
    tls: TlsOptions | None = Field(
        default=None, description="Certificates, server name and versions of TLS."
    )
    proxy: str | None = Field(
        default=None,
        max_length=2000,
        description="An http://, https://, socks5:// (names looked up here) or socks5h:// URL, or"
        " `environment` for the proxy that the agent's environment names. Without it there is none,"
        " whatever the environment says.",
    )
    proxy_ca_pem: str | None = Field(
        default=None, description="Whose certificate an https:// proxy has, in PEM format."
    )
    family: Families = Field(
        default="any",
        description="Which addresses of the host are tried. With `both`, one check each by IPv4 and"
        " IPv6 at the same time, and both have to succeed.",
    )
    source: str | None = Field(
        default=None, description="The address of the agent's host to connect from."
    )
    resolve: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Addresses by host name, instead of a lookup:"
        ' {"shop.example": "203.0.113.20"}.',
    )
    connect_to: dict[str, str] = Field(
        default_factory=dict,
        description="Where to connect to instead, by HOST or HOST:PORT:"
        ' {"shop.example:443": "canary.example:8443"}. URL, TLS and Host stay.',
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        assert_requestable(url)
        ascii_url(url)
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

    @field_validator("ca_pem", "proxy_ca_pem")
    @classmethod
    def _readable_pem(cls, pem: str | None, info: ValidationInfo) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, TypeError, ValueError) as error:
                raise ValueError(f"{info.field_name} holds no certificate in PEM format") from error
        return pem

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None and proxy != ENVIRONMENT:
            assert_proxy(proxy)
        return proxy

    @field_validator("source")
    @classmethod
    def _source(cls, source: str | None) -> str | None:
        if source is not None:
            ipaddress.ip_address(source)
        return source

    @field_validator("resolve")
    @classmethod
    def _resolve(
        cls, resolve: dict[str, str | tuple[str, ...]]
    ) -> dict[str, str | tuple[str, ...]]:
        for found in resolve.values():
            for each in (found,) if isinstance(found, str) else found:
                ipaddress.ip_address(each)
        return {ascii_host(host.lower()): found for host, found in resolve.items()}

    @field_validator("connect_to")
    @classmethod
    def _connect_to(cls, connect_to: dict[str, str]) -> dict[str, str]:
        for host, instead in connect_to.items():
            assert_endpoint(host)
            assert_endpoint(instead)
        return {ascii_endpoint(host): ascii_endpoint(to) for host, to in connect_to.items()}

    @model_validator(mode="after")
    def _body_fits(self) -> "HttpOptions":
        if self.body is not None and self.method == "HEAD":
            raise ValueError("a HEAD request cannot carry a body")
        encoded(self.body, self.body_format)
        return self

    @model_validator(mode="after")
    def _unambiguous(self) -> "HttpOptions":
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("auth and a header Authorization exclude each other")
        if self.tls is not None and self.tls.ca_pem is not None and self.ca_pem is not None:
            raise ValueError("ca_pem and tls.ca_pem are the same: leave out one")
        if self.tls is not None and self.tls.alpn:
            raise ValueError("tls.alpn is decided by http_version")
        if self.http_version == "3" and urlsplit(self.url).scheme != "https":
            raise ValueError("HTTP/3 needs a URL that starts with https://")
        if self.http_version == "3" and self.proxy is not None:
            raise ValueError("HTTP/3 cannot go through a proxy")
        if self.family == "both" and self.source is not None:
            raise ValueError("a source address has one family, so family cannot be both")
        return self

    @property
    def target(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self.url)
        bare = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=bare).geturl()

    @property
    def encodings(self) -> tuple[str, ...]:
        """The compressions to ask for, none if there shall be none."""
        if isinstance(self.compressed, bool):
            return ("gzip", "deflate") if self.compressed else ()
        return (self.compressed,)

    @property
    def all_tls(self) -> TlsOptions:
        """`tls`, with what older rows say beside it."""
        tls = self.tls or TlsOptions()
        return tls.model_copy(
            update={
                "verify": tls.verify and self.verify_tls,
                "ca_pem": tls.ca_pem or self.ca_pem,
            }
        )

    @property
    def judged_status(self) -> str | None:
        """The statuses that count as up; None if an assertion decides alone."""
        asserted = any(assertion.kind == "status" for assertion in self.assertions)
        return (
            None
            if asserted and "expected_status" not in self.model_fields_set
            else (self.expected_status)
        )
