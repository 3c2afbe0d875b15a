"""Does this port accept a connection and say what it should? Probe type `tcp`."""

from typing import ClassVar

from pydantic import Field

from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions, ProbeResult, TlsOptions
from uptimeo.probes.dialogues.conversation import Conversation, converse
from uptimeo.probes.dialogues.starttls import Starttls
from uptimeo.probes.dialogues.steps import Step, walk
from uptimeo.probes.network.stream_options import StreamOptions


class TcpOptions(StreamOptions):
    """What a monitor may say about a TCP check. Without steps, to be connected is enough."""

    scheme: ClassVar[str] = "tcp"
    needs_port: ClassVar[bool] = True

    starttls: Starttls | None = Field(
        default=None,
        description="Ask for TLS in the words of this protocol, then begin it. MySQL counts such a"
        " check as a failed login (max_connect_errors).",
    )
    tls: TlsOptions | None = Field(
        default=None,
        description="How TLS is spoken. Without `starttls` it begins with the connection.",
    )
    steps: tuple[Step, ...] = Field(
        default=(),
        max_length=20,
        description="What to send and what to expect, one after the other, inside TLS if any.",
    )

    def spoken_tls(self) -> TlsOptions | None:
        """As `tls` says, which may be left out beside `starttls`."""
        return TlsOptions() if self.tls is None and self.starttls is not None else self.tls


class TcpProbe(Probe[TcpOptions]):
    """Connect, begin TLS if wanted, take the steps."""

    options: ClassVar[type[ProbeOptions]] = TcpOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: TcpOptions, context: ProbeContext) -> ProbeResult:
        """Check once; the steps are in the phases send and wait."""

        async def talk(held: Conversation) -> None:
            await held.secure(options.starttls)
            await walk(options.steps, held.stream, context, held.timeline)

        return await converse(options, context, self._steady, talk)
