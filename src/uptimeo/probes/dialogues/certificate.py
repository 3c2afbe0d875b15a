"""Is this server's certificate good, and for how long? Probe type `tls`."""

from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions, ProbeResult, TlsOptions
from uptimeo.probes.dialogues.certificate_demands import CertificateDemands, judge_demands
from uptimeo.probes.dialogues.conversation import Conversation, converse
from uptimeo.probes.dialogues.starttls import USUAL_PORTS, Starttls
from uptimeo.probes.network.stream_options import StreamOptions

_USUAL_PORT = 443


class CertificateOptions(StreamOptions, CertificateDemands):
    """What a monitor may say about a certificate, which has to be valid anyway."""

    scheme: ClassVar[str] = "tls"

    starttls: Starttls | None = Field(
        default=None,
        description="Ask for TLS in the words of this protocol first. MySQL counts such a check as"
        " a failed login (max_connect_errors).",
    )
    tls: TlsOptions = Field(default=TlsOptions(), description="How TLS is spoken.")

    def usual_port(self) -> int:
        """That of the protocol, or 443."""
        return _USUAL_PORT if self.starttls is None else USUAL_PORTS[self.starttls]

    def spoken_tls(self) -> TlsOptions:
        """As `tls` says."""
        return self.tls


class CertificateProbe(Probe[CertificateOptions]):
    """A handshake and nothing more. A certificate that is refused is in the facts all the same."""

    options: ClassVar[type[ProbeOptions]] = CertificateOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: CertificateOptions, context: ProbeContext) -> ProbeResult:
        """Check once."""

        async def talk(held: Conversation) -> None:
            await held.secure(options.starttls)
            assert held.stream.tls is not None
            held.judged += judge_demands(options, held.stream.tls, datetime.now(UTC))

        return await converse(options, context, self._steady, talk)
