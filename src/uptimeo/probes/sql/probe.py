"""Does a PostgreSQL answer a query, and with the right value? Types `sql`, `postgresql`."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from uptimeo.probes.answers.concluding import concluded
from uptimeo.probes.answers.matching import Pattern, PatternTimeoutError, occurs
from uptimeo.probes.base import (
    Assertions,
    ErrorType,
    Failure,
    Family,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    Timeline,
    allowed,
    one_line,
    resolve,
)
from uptimeo.probes.sql.libpq import Server, Session, Table, read_uri

_SHOWN = 200
Scalar = str | float | bool | None


class SqlOptions(ProbeOptions):
    """What a monitor may say about a query. The first column of the first row is `the value`."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="postgresql://user:password@host:port/database; ?sslmode= as libpq has it.",
    )
    query: str = Field(
        default="SELECT 1", min_length=1, max_length=20_000, description="One statement."
    )
    equals: Scalar = Field(
        default=None, description="The value is this; null, if it is given, is SQL's NULL."
    )
    matches: Pattern | None = Field(
        default=None, description="A regular expression found in the value."
    )
    min: float | None = Field(default=None, description="The value is a number, at least this.")
    max: float | None = Field(default=None, description="The value is a number, at most this.")
    min_rows: int | None = Field(
        default=None, ge=0, le=1_000_000, description="At least so many rows."
    )
    max_rows: int | None = Field(
        default=None, ge=0, le=1_000_000, description="At most so many rows."
    )
    ca_pem: str | None = Field(
        default=None, description="Authorities to trust, in PEM; with it sslmode is verify-full."
    )
    family: Family = Field(
        default=Family.ANY, description="Which addresses of the host to try: v4, v6 or any."
    )
    assertions: Assertions = Field(
        default=(), description="What else has to hold, such as the latency of a phase."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        read_uri(url)
        return url

    @field_validator("query")
    @classmethod
    def _query(cls, query: str) -> str:
        if "\x00" in query:
            raise ValueError("may not contain NUL")
        return query

    @field_validator("ca_pem")
    @classmethod
    def _ca_pem(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, TypeError, ValueError) as error:
                raise ValueError("holds no certificate in PEM format") from error
        return pem

    @model_validator(mode="after")
    def _ordered(self) -> "SqlOptions":
        for low, high in ((self.min, self.max), (self.min_rows, self.max_rows)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"at least {low:g} and at most {high:g} is never true")
        return self

    @property
    def server(self) -> Server:
        """The URL, read."""
        return read_uri(self.url)

    @property
    def target(self) -> str:
        """The URL without the password."""
        return self.server.shown

    @property
    def compares(self) -> bool:
        """Whether `equals` was given, as it may be null."""
        return "equals" in self.model_fields_set


class SqlProbe(Probe[SqlOptions]):
    """Logs in, asks within a transaction that can only read, and leaves."""

    options: ClassVar[type[ProbeOptions]] = SqlOptions

    async def probe(self, options: SqlOptions, context: ProbeContext) -> ProbeResult:
        """The phases are dns, connect, tls, login, begin, query."""
        timeline, facts = Timeline(), dict[str, Any]()
        session = Session(options.server, context, timeline)
        try:
            host = options.server.host
            addresses = await resolve(host, context, timeline, options.family)
            # libpq is given no other addresses.
            await session.open(allowed(addresses, host, context), options.ca_pem)
            facts |= session.facts
            with timeline.phase("begin"):
                await session.begin()
            with timeline.phase("query"):
                table = await session.ask(options.query)
                timeline.first_byte()
            if table is not None:
                facts |= {"rows": table.rows, "value": _shown(table.value)}
            result = timeline.result(facts=facts)
            failure = await asyncio.to_thread(_judge, table, options, session.at)
            result = replace(result, failure=failure)
            return await concluded(result, options.assertions, session.at)
        except TargetError as error:
            return timeline.result(error.failure, facts=facts)
        finally:
            session.close()


def _judge(table: Table | None, options: SqlOptions, at: str) -> Failure | None:
    rows = 0 if table is None else table.rows
    low, high = options.min_rows, options.max_rows
    if (low is not None and rows < low) or (high is not None and rows > high):
        wanted = f"{low or 0} to {'any number of' if high is None else high} rows"
        return _failure(f"{at}: expected {wanted}, got {rows}")
    for expected, holds in _statements(options):
        if not rows or table is None:
            return _failure(f"{at}: expected {expected}, got no row")
        try:
            if not holds(table.value):
                return _failure(f"{at}: expected {expected}, got {_shown(table.value)!r}")
        except PatternTimeoutError as error:
            return _failure(f"{at}: {error}")
    return None


def _statements(options: SqlOptions) -> Iterator[tuple[str, Callable[[str | None], bool]]]:
    """What has to be true of the value: in words, and the test."""
    if options.compares:
        wanted = options.equals
        yield f"the value {wanted!r}", lambda value: _same(value, wanted)
    if (pattern := options.matches) is not None:
        yield f"a value that matches {pattern!r}", lambda v: v is not None and occurs(pattern, v)
    if (low := options.min) is not None:
        yield f"a value of at least {low:g}", lambda v: (n := _number(v)) is not None and n >= low
    if (high := options.max) is not None:
        yield f"a value of at most {high:g}", lambda v: (n := _number(v)) is not None and n <= high


def _same(value: str | None, wanted: Scalar) -> bool:
    """Whether PostgreSQL's text says what JSON says: `t` is true, `1.0` is 1."""
    if isinstance(wanted, bool):
        return value == ("t" if wanted else "f")
    if isinstance(wanted, int | float):
        return _number(value) == wanted
    return value == wanted


def _number(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _shown(value: str | None) -> str | None:
    return None if value is None else one_line(value, _SHOWN)


def _failure(text: str) -> Failure:
    return Failure(type=ErrorType.ASSERTION, message=text, phase="query")
