"""What is known of a running agent at one moment, for whoever asks? Plain values, no work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from uptimeo.catalog.watcher import CatalogState
from uptimeo.domain.presence import SpoolState


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFacts:
    """How late the event loop was: lately, in ms, and how often for more than 20 ms ever.

    `overdue_s` is for how long its own sample is due by now; None before the first.
    """

    p99_ms: float | None
    worst_ms: float | None
    stalls: int
    overdue_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFacts:
    """How an agent is.

    `leads` says that it holds a term, `may_check` that checks may start at this moment.
    `database_ago_s` is how long ago the database answered, None if never, and it is silent for
    too long after `patience_s`. Of an agent that maintains the installation are `days_ahead`,
    `retention_held` (nothing is dropped, since the database's clock is not believed) and `unusual`,
    heartbeats by the datacenter that sent them and by kind. `ended` are loops that should run and
    do not.
    """

    now: datetime
    leads: bool
    may_check: bool
    newest_term: int
    database_ago_s: float | None
    patience_s: float
    spool: SpoolState
    spool_sound: bool
    catalog: CatalogState
    loop: LoopFacts
    in_flight: int
    days_ahead: int | None
    retention_held: bool | None
    unusual: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ended: tuple[str, ...] = ()

    @property
    def reaches_database(self) -> bool:
        """Whether the database has answered lately."""
        return self.database_ago_s is not None and self.database_ago_s <= self.patience_s
