"""What does a running agent tell about itself?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """How much waits for PostgreSQL; `dropped` counts since the start of the process."""

    rows: int
    bytes: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A report of one instance; `term` is None for a standby."""

    term: int | None
    spool: SpoolState
