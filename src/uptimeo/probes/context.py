"""What may one check use: how much time, which resolver, which addresses, how many bytes?"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.network.resolver import Resolver, SystemResolver
from uptimeo.probes.network.tls import TlsContexts
from uptimeo.probes.push.signals import SignalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a target's answer a probe takes, whatever its options say. Bytes, or pieces."""

    read_bytes: int = 1_048_576
    line_bytes: int = 65_536
    certificates: int = 20
    dns_records: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeContext:
    """What one check may use. `timeout_ms` is the budget for everything the probe does.

    The time runs from the making of the context. `guard` is asked of each address just before
    connecting; `resolver` and `tls` are shared by all checks of the agent. `signals` is None where
    there is no database to read them from, `exec_file` where no command may be run.
    """

    timeout_ms: int
    resolver: Resolver = field(default_factory=SystemResolver, compare=False)
    guard: AddressGuard = field(default_factory=AddressGuard)
    limits: Limits = Limits()
    tls: TlsContexts = field(default_factory=TlsContexts, compare=False)
    signals: SignalSource | None = field(default=None, compare=False)
    exec_file: Path | None = None
    began: float = field(default_factory=time.monotonic, compare=False)

    @property
    def deadline(self) -> float:
        """When the budget is used up, on the monotonic clock, which is the event loop's."""
        return self.began + self.timeout_ms / 1000

    def remaining_s(self) -> float:
        """What is left of the budget; 0 when nothing is, never less."""
        return max(0.0, self.deadline - time.monotonic())
