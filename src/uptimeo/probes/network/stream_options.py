"""What may a monitor say about a connection, whatever is spoken on it?"""

import ipaddress
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from uptimeo.probes.answers.families import Families
from uptimeo.probes.base import Assertions, Endpoint, Family, ProbeOptions, TlsOptions


class StreamOptions(ProbeOptions):
    """A host, a port, and how to get there. A subclass says its scheme and the usual port."""

    scheme: ClassVar[str]
    needs_port: ClassVar[bool] = False

    url: str = Field(
        min_length=1, max_length=2000, description="Where to connect to: scheme://host:port."
    )
    family: Families = Field(
        default="any",
        description="Which addresses of the host are tried. With `both`, one check each by IPv4 and"
        " IPv6 at the same time, and both have to succeed.",
    )
    source: str | None = Field(
        default=None, description="The address of the agent's host to connect from."
    )
    assertions: Assertions = Field(
        default=(), description="What else has to hold, such as a latency or days left."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if any(c.isspace() or not c.isprintable() for c in url):
            raise ValueError("the URL contains a space or a control character")
        parts = urlsplit(url)
        if parts.scheme != cls.scheme:
            raise ValueError(f"the URL must start with {cls.scheme}://")
        if "@" in parts.netloc:
            raise ValueError("the URL must not contain a user: nobody logs in")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the URL must end after the port")
        if not parts.hostname:
            raise ValueError("the URL names no host")
        if parts.port is None and cls.needs_port:
            raise ValueError("the URL names no port")
        if parts.port == 0:  # reading `port` raises ValueError when it is not a number
            raise ValueError("port 0 cannot be connected to")
        return url

    @field_validator("source")
    @classmethod
    def _reachable_from(cls, address: str | None) -> str | None:
        if address is not None:
            ipaddress.ip_address(address)
        return address

    @model_validator(mode="after")
    def _one_family_of_a_source(self) -> "StreamOptions":
        if self.family == "both" and self.source is not None:
            raise ValueError("a source address has one family, so family cannot be both")
        return self

    def usual_port(self) -> int:
        """The port if the URL names none."""
        raise NotImplementedError

    def spoken_tls(self) -> TlsOptions | None:
        """How TLS is spoken; None if it is not."""
        return None

    @property
    def host(self) -> str:
        """Whom the URL names."""
        return urlsplit(self.url).hostname or ""

    def endpoint(self, family: Family = Family.ANY) -> Endpoint:
        """Where to connect to, by that family of addresses."""
        port = urlsplit(self.url).port or self.usual_port()
        return Endpoint(host=self.host, port=port, family=family, source=self.source)
