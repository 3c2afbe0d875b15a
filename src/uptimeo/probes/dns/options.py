"""What may a monitor say of a DNS server: whom to ask for what, and what the answer should be?"""

from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, IPvAnyAddress, model_validator

from uptimeo.probes.base import Family, Pattern, ProbeOptions, TlsOptions
from uptimeo.probes.dns.judgement import Expectations
from uptimeo.probes.dns.messages import Question, checked_kind, checked_name, checked_rcode, record
from uptimeo.probes.dns.transport import Server, Transport

_PORTS = {"udp": 53, "tcp": 53, "tls": 853}

Kind = Annotated[str, AfterValidator(checked_kind)]
Rcode = Annotated[str, AfterValidator(checked_rcode)]
Texts = Annotated[tuple[str, ...], Field(max_length=50)]


class DnsOptions(ProbeOptions):
    """Which server is asked for what, and what it should say."""

    url: str = Field(
        min_length=1,
        max_length=600,
        description="dns://SERVER[:PORT]/NAME[?type=TYPE]; without SERVER the first one that the"
        " agent's host asks itself, whatever its address.",
    )
    name: Annotated[str, AfterValidator(checked_name)] | None = Field(
        default=None, description="The name to ask for, if it is not in the URL."
    )
    record_type: Kind | None = Field(
        default=None, description="A, AAAA, MX, SOA or any other type; by default A."
    )
    transport: Transport = Field(
        default="udp",
        description="udp, with TCP for an answer that was cut short; tcp; or tls (DNS over TLS).",
    )
    tls: TlsOptions = Field(default=TlsOptions(), description="How TLS is spoken.")
    family: Family = Field(
        default=Family.ANY, description="By which kind of address the server is reached."
    )
    source: IPvAnyAddress | None = Field(
        default=None, description="An address of the agent's host to ask from."
    )
    recursion: bool = Field(default=True, description="Ask the server to find out (RD).")
    dnssec: bool = Field(default=False, description="Ask for signatures too (DO).")
    authenticated: bool = Field(
        default=False, description="The server must have verified the answer (AD)."
    )
    authoritative: bool = Field(
        default=False, description="The server must be responsible for the name (AA)."
    )
    rcodes: tuple[Rcode, ...] = Field(
        default=("NOERROR",),
        min_length=1,
        max_length=20,
        description="The response codes of which the answer must have one.",
    )
    min_answers: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="So many records of the type at least; by default 1 with NOERROR, else 0.",
    )
    answers: Texts = Field(default=(), description="The expected records, as a zone file has them.")
    match: Literal["exact", "includes", "within"] = Field(
        default="exact",
        description="exact: the records are those of `answers`; includes: all of these are among"
        " them; within: there are none but these.",
    )
    forbidden: Texts = Field(default=(), description="Records that must not be there.")
    matches: Pattern | None = Field(
        default=None, description="A regular expression that is found in at least one record."
    )
    not_matches: Pattern | None = Field(
        default=None, description="A regular expression that is found in no record."
    )
    min_serial: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="The serial of the SOA record is this or a later one (RFC 1982).",
    )
    same_serial_at: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(), description="Further servers, SERVER[:PORT], that must have the same serial."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> "DnsOptions":
        checked_name(self.question.name)
        checked_kind(self.question.kind)
        for text in (*self.answers, *self.forbidden):
            record(self.question.kind, text)
        for other in ("", *self.same_serial_at):
            self.server(other)
        if (self.min_serial is not None or self.same_serial_at) and self.question.kind != "SOA":
            raise ValueError("a serial can be judged with record_type SOA only")
        return self

    @property
    def question(self) -> Question:
        """What is asked. ValueError if the URL and the options do not say it, or say it twice."""
        parts = urlsplit(self.url)
        given = dict(parse_qsl(parts.query))
        if parts.scheme != "dns" or parts.fragment or given.keys() - {"type"}:
            raise ValueError("the URL must be dns://SERVER/NAME?type=TYPE")
        name = _one("name", unquote(parts.path).strip("/"), self.name)
        if name is None:
            raise ValueError("no name is given, neither in the URL nor as `name`")
        kind = _one("type", given.get("type"), self.record_type)
        return Question(
            name=name,
            kind="A" if kind is None else kind.upper(),
            recursion=self.recursion,
            dnssec=self.dnssec,
            authenticated=self.authenticated,
        )

    @property
    def expectations(self) -> Expectations:
        """What the answer is judged by."""
        kind = self.question.kind
        return Expectations(
            rcodes=self.rcodes,
            flags=tuple(
                flag
                for flag, wanted in (("AD", self.authenticated), ("AA", self.authoritative))
                if wanted
            ),
            min_answers=self.min_answers,
            answers=tuple(record(kind, text) for text in self.answers),
            match=self.match,
            forbidden=tuple(record(kind, text) for text in self.forbidden),
            matches=self.matches,
            not_matches=self.not_matches,
            min_serial=self.min_serial,
        )

    def server(self, other: str = "") -> Server:
        """The server of the URL (without a host, the host's own), or one like it at SERVER[:PORT].

        ValueError if it is none.
        """
        parts = urlsplit(f"//{other}" if other else self.url)
        if parts.username is not None or (other and (parts.path or not parts.hostname)):
            raise ValueError(
                f"{other or 'the URL'!r} does not name a server as SERVER or SERVER:PORT"
            )
        return Server(
            host=parts.hostname or "",
            port=parts.port or _PORTS[self.transport],
            transport=self.transport,
            family=self.family,
            source=None if self.source is None else str(self.source),
            tls=self.tls,
        )


def _one(what: str, in_url: str | None, given: str | None) -> str | None:
    if in_url and given:
        raise ValueError(f"the {what} is given twice, in the URL and in the options")
    return in_url or given
