"""What does a running agent tell about itself?"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """How much waits for PostgreSQL; `dropped` counts since the start of the process.

    `oldest_at` is when the check ran whose heartbeat has waited longest, as far as it is known.
    """

    rows: int
    bytes: int
    dropped: int
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A report of one instance; `term` is None for a standby.

    `peer_address` is where other agents of its datacenter can ask it; `peers_heard` how many of
    them have answered it lately. `loop_lag_p99_ms` is how late its event loop was lately; None
    before it is known.
    """

    term: int | None
    spool: SpoolState
    peer_address: str | None = None
    peers_heard: int = 0
    loop_lag_p99_ms: float | None = None
