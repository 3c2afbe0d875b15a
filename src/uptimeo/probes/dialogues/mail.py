"""Does this mail server greet and say what it can? Probe types `smtp`, `imap`, `pop3`.

Nobody logs in and no mail is sent. The server is left with its own word for goodbye.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, Literal

from pydantic import Field

from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    AssertionResult,
    Pattern,
    PatternTimeoutError,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    TlsOptions,
    occurs,
)
from uptimeo.probes.dialogues.conversation import STARTTLS_PHASE, Conversation, converse
from uptimeo.probes.dialogues.dialogue import take, take_all
from uptimeo.probes.dialogues.mail_protocols import IMAP, POP3, MailProtocol, smtp
from uptimeo.probes.network.stream_options import StreamOptions

_FAREWELL_S = 1.0
_BANNER = 200


class MailOptions(StreamOptions):
    """What a monitor may say about a mail server."""

    ports: ClassVar[tuple[int, int]]

    security: Literal["none", "starttls", "tls"] = Field(
        default="none",
        description="`starttls` asks for TLS after the greeting, `tls` begins with it.",
    )
    tls: TlsOptions = Field(default=TlsOptions(), description="How TLS is spoken, if it is.")
    banner: Pattern | None = Field(
        default=None, description="This pattern is found in the greeting."
    )
    capabilities: tuple[str, ...] = Field(
        default=(),
        max_length=20,
        description="The server says that it can do these, such as `AUTH PLAIN`; after TLS if any.",
    )
    absent_capabilities: tuple[str, ...] = Field(
        default=(), max_length=20, description="The server does not say that it can do these."
    )

    def usual_port(self) -> int:
        """That of the protocol, with TLS from the start or without."""
        return self.ports[self.security == "tls"]

    def spoken_tls(self) -> TlsOptions | None:
        """As `tls` says, where `security` wants any."""
        return None if self.security == "none" else self.tls

    def protocol(self) -> MailProtocol:
        """What is said."""
        raise NotImplementedError


class SmtpOptions(MailOptions):
    """What a monitor may say about an SMTP server."""

    scheme: ClassVar[str] = "smtp"
    ports: ClassVar[tuple[int, int]] = (25, 465)

    ehlo_name: str = Field(
        default="uptimeo.invalid",
        pattern=r"^[A-Za-z0-9.:\[\]-]{1,253}$",
        description="How we introduce ourselves.",
    )

    def protocol(self) -> MailProtocol:
        """EHLO names us."""
        return smtp(self.ehlo_name)


class ImapOptions(MailOptions):
    """What a monitor may say about an IMAP server."""

    scheme: ClassVar[str] = "imap"
    ports: ClassVar[tuple[int, int]] = (143, 993)

    def protocol(self) -> MailProtocol:
        """Always the same."""
        return IMAP


class Pop3Options(MailOptions):
    """What a monitor may say about a POP3 server."""

    scheme: ClassVar[str] = "pop3"
    ports: ClassVar[tuple[int, int]] = (110, 995)

    def protocol(self) -> MailProtocol:
        """Always the same."""
        return POP3


class MailProbe(Probe[MailOptions]):
    """Greeting, TLS if wanted, capabilities, goodbye."""

    options: ClassVar[type[ProbeOptions]] = MailOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: MailOptions, context: ProbeContext) -> ProbeResult:
        """Check once; the own phases are greeting, starttls, capability and quit."""

        async def talk(held: Conversation) -> None:
            protocol = options.protocol()
            banner = await _greeted(protocol, options, held)
            with held.timeline.phase("capability"):
                answer = await take(protocol.capabilities, held.stream, context)
            able = protocol.read(answer)
            held.shown |= {"banner": banner[:_BANNER], "offers": list(able)}
            held.judged += _judged(options, banner, able)
            await _leave(protocol, held)

        return await converse(options, context, self._steady, talk)


class SmtpProbe(MailProbe):
    """Greeting, TLS if wanted, capabilities and goodbye of an SMTP server."""

    options: ClassVar[type[ProbeOptions]] = SmtpOptions


class ImapProbe(MailProbe):
    """Greeting, TLS if wanted, capabilities and goodbye of an IMAP server."""

    options: ClassVar[type[ProbeOptions]] = ImapOptions


class Pop3Probe(MailProbe):
    """Greeting, TLS if wanted, capabilities and goodbye of a POP3 server."""

    options: ClassVar[type[ProbeOptions]] = Pop3Options


async def _greeted(protocol: MailProtocol, options: MailOptions, held: Conversation) -> str:
    """The greeting; after it the connection is as secure as wanted."""
    stream, timeline = held.stream, held.timeline
    if options.security == "tls":
        await held.secure()
    with timeline.phase("greeting"):
        greeting = await take(protocol.greeting, stream, held.context)
    if options.security == "starttls":
        with timeline.phase(STARTTLS_PHASE):
            await take_all(protocol.starttls, stream, held.context)
        await held.secure()
    return greeting.decode("utf-8", "replace").strip()


async def _leave(protocol: MailProtocol, held: Conversation) -> None:
    """The check is over: a server that does not say goodbye, or not in time, is as good."""
    with held.timeline.phase("quit"), suppress(TargetError, TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await take(protocol.farewell, held.stream, held.context)


def _judged(options: MailOptions, banner: str, able: tuple[str, ...]) -> Iterator[AssertionResult]:
    if options.banner is not None:
        yield _banner(options.banner, banner)
    said = ", ".join(able) or "none"
    for wanted in options.capabilities:
        ok = _offers(able, wanted)
        yield AssertionResult(ok=ok, expected=f"the capability {wanted}", got=said)
    for unwanted in options.absent_capabilities:
        ok = not _offers(able, unwanted)
        yield AssertionResult(ok=ok, expected=f"not: the capability {unwanted}", got=said)


def _banner(pattern: str, banner: str) -> AssertionResult:
    try:
        ok, got = occurs(pattern, banner), repr(banner)
    except PatternTimeoutError as error:
        ok, got = False, str(error)
    return AssertionResult(ok=ok, expected=f"a greeting that matches {pattern!r}", got=got)


def _offers(able: tuple[str, ...], wanted: str) -> bool:
    """`AUTH PLAIN` is offered by the line `AUTH LOGIN PLAIN`."""
    first, *others = wanted.upper().split()
    lines = [line.upper().split() for line in able]
    return any(line[0] == first and set(others) <= set(line) for line in lines if line)
