"""What does the author of a probe import? This, and nothing else of UptimeO.

A probe type is one class named by an entry point of the group `uptimeo.probes`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from uptimeo.domain.result import ErrorType, Exchange, Failure, Outcome, Phase, Phases, ProbeResult
from uptimeo.domain.text import is_secret_header, one_line
from uptimeo.probes.answers.assertions import (
    AssertionResult,
    Assertions,
    Subject,
    assertion_failure,
)
from uptimeo.probes.answers.judging import judge
from uptimeo.probes.answers.matching import Pattern, PatternTimeoutError, occurs
from uptimeo.probes.answers.status_ranges import StatusRanges, in_ranges
from uptimeo.probes.context import Limits, ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.addressing import Endpoint, allowed, resolve
from uptimeo.probes.network.certificates import CertificateFacts
from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.network.resolver import Address, Family, Resolver, SystemResolver, literal
from uptimeo.probes.network.session import TlsFacts
from uptimeo.probes.network.stream import Stream, open_stream
from uptimeo.probes.network.tls import TlsOptions
from uptimeo.probes.timeline import Timeline

__all__ = [
    "Address",
    "AddressGuard",
    "AssertionResult",
    "Assertions",
    "CertificateFacts",
    "Endpoint",
    "ErrorType",
    "Exchange",
    "Failure",
    "Family",
    "Limits",
    "Outcome",
    "Pattern",
    "PatternTimeoutError",
    "Phase",
    "Phases",
    "Probe",
    "ProbeContext",
    "ProbeOptions",
    "ProbeResult",
    "Resolver",
    "StatusRanges",
    "Stream",
    "Subject",
    "SystemResolver",
    "TargetError",
    "Timeline",
    "TlsFacts",
    "TlsOptions",
    "allowed",
    "assertion_failure",
    "fail",
    "in_ranges",
    "is_secret_header",
    "judge",
    "literal",
    "occurs",
    "one_line",
    "open_stream",
    "resolve",
]


class ProbeOptions(BaseModel):
    """What a monitor may say to its probe: columns of its row, and its `options` column.

    A subclass declares its fields. The row's `url`, `method`, `headers` and `body` are handed
    over where a field of that name exists; every other field comes from `options`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(min_length=1, max_length=2000, description="What to check.")

    @property
    def target(self) -> str:
        """How the target is shown to people: without credentials."""
        return self.url


OptionsT = TypeVar("OptionsT", bound=ProbeOptions)


class Probe(ABC, Generic[OptionsT]):
    """The code of one protocol. One instance serves all checks, many at a time."""

    options: ClassVar[type[ProbeOptions]]

    @abstractmethod
    async def probe(self, options: OptionsT, context: ProbeContext) -> ProbeResult:
        """Check once. A target that fails is a result with a failure; raise only for a bug."""

    async def aclose(self) -> None:
        """Give back what the instance holds; called once, after its last check."""
        return
