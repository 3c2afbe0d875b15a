"""What is known of a table that is cut by time?"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum


class Dropping(Enum):
    """What came of a request to drop the oldest partition: `BUSY` is worth another.

    `HELD`: nothing is dropped, since the database's clock is not believed.
    """

    DROPPED = "dropped"
    BUSY = "busy"
    NONE = "none"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """`partition` is what was, or would be, dropped; None if none is old enough."""

    outcome: Dropping
    partition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why nothing is dropped: the database's clock says `clock_at`, `believed_at` was the last time
    that was believed.

    `still`: how long the clock has to be seen to go on until it is; None: it waits for a person.
    """

    since: datetime
    believed_at: datetime
    clock_at: datetime
    still: timedelta | None

    @property
    def ahead(self) -> timedelta:
        """How far the clock is ahead of what was believed."""
        return self.clock_at - self.believed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """One table with its partitions; days are UTC.

    `days_ahead` are the whole days after today up to the first gap, -1: not even today.
    `keep_days` None is for ever, `keep_at_least` the least that it may be. `held_since`: nothing
    of any table is dropped.
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
    held_since: datetime | None
