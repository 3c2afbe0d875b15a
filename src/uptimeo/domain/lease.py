"""What is asked of a lease, and answered?"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What the database is asked; `may_steal` says that (term, seq) stood still for a TTL."""

    candidate: UUID
    seen_term: int
    seen_seq: int
    may_steal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAnswer:
    """What the database decided. `holder` names the leader for people, None if nobody leads.

    `server_now` is the database's clock at its decision, which came between `sent_at` and
    `received_at`: seconds since boot of this host, connecting not included.
    """

    held: bool
    term: int
    seq: int
    holder: str | None
    server_now: datetime
    sent_at: float
    received_at: float
