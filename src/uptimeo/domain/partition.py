"""What is known of a table that is cut by time?"""

from dataclasses import dataclass
from datetime import date
from enum import Enum


class Dropping(Enum):
    """What came of a request to drop the oldest partition: `BUSY` is worth another."""

    DROPPED = "dropped"
    BUSY = "busy"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """`partition` is what was, or would be, dropped; None if none is old enough."""

    outcome: Dropping
    partition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """One table with its partitions; days are UTC.

    `days_ahead` are the whole days after today up to the first gap, -1: not even today.
    `keep_days` None is for ever, `keep_at_least` the least that it may be.
    """

    parent: str
    partitions: int
    first_day: date | None
    last_day: date | None
    days_ahead: int
    keep_days: int | None
    keep_at_least: int
    rows_estimate: int
    bytes: int
