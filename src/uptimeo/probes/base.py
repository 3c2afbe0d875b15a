"""What does the author of a probe import?

A probe type is one class named by an entry point of the group `uptimeo.probes`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from uptimeo.domain.result import ErrorType, Exchange, Failure, Outcome, Phase, Phases, ProbeResult

__all__ = [
    "ErrorType",
    "Exchange",
    "Failure",
    "Outcome",
    "Phase",
    "Phases",
    "Probe",
    "ProbeContext",
    "ProbeOptions",
    "ProbeResult",
]


class ProbeOptions(BaseModel):
    """What a monitor may say to its probe: columns of its row, and its `options` column.

    A subclass declares its fields. The row's `url`, `method`, `headers` and `body` are handed
    over where a field of that name exists; every other field comes from `options`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(min_length=1, max_length=2000)

    @property
    def target(self) -> str:
        """How the target is shown to people: without credentials."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeContext:
    """What one check may use. `timeout_ms` is the budget for everything the probe does."""

    timeout_ms: int


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
