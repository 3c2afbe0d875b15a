"""When is a check due, and which slots were missed? Pure.

Instants are whole milliseconds since 1970 UTC.
"""

from dataclasses import dataclass
from hashlib import blake2b

from uptimeo.domain.monitor import DatacenterId, MonitorId

_MAX_LATE_MS = 1000
MAX_RECORDED_SKIPS = 60


@dataclass(frozen=True, slots=True)
class Grid:
    """The slots of one monitor in one datacenter: `phase_ms + k * interval_ms`."""

    interval_ms: int
    phase_ms: int

    def at_or_after(self, moment_ms: int) -> int:
        """The first slot that is not before the moment."""
        return self.phase_ms - (self.phase_ms - moment_ms) // self.interval_ms * self.interval_ms

    def tolerance_ms(self) -> int:
        """How late a check may start and still belong to its slot."""
        return min(_MAX_LATE_MS, self.interval_ms // 4)


def grid(monitor: MonitorId, datacenter: DatacenterId, interval_s: int) -> Grid:
    """The monitor's grid: its phase is a stable hash, so that checks spread over the interval."""
    digest = blake2b(f"{monitor}:{datacenter}".encode(), digest_size=8).digest()
    interval_ms = interval_s * 1000
    return Grid(interval_ms=interval_ms, phase_ms=int.from_bytes(digest, "big") % interval_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What to do about the slots from the awaited one until now.

    `run` may still start; `missed` are to be recorded as skipped, oldest first; `unrecorded`
    counts the still older ones, left out so that a long pause does not become a flood.
    """

    run: int | None
    missed: tuple[int, ...]
    unrecorded: int
    next: int


def due(slots: Grid, awaited_ms: int, now_ms: int) -> Due:
    """Decide at `now_ms` about the awaited slot and every later one that has come since."""
    coming = slots.at_or_after(now_ms + 1)
    latest = coming - slots.interval_ms
    if latest < awaited_ms:
        return Due(run=None, missed=(), unrecorded=0, next=awaited_ms)
    run = latest if now_ms - latest <= slots.tolerance_ms() else None
    end = latest if run is not None else coming
    count = (end - awaited_ms) // slots.interval_ms
    kept = min(count, MAX_RECORDED_SKIPS)
    missed = tuple(range(end - kept * slots.interval_ms, end, slots.interval_ms))
    return Due(run=run, missed=missed, unrecorded=count - kept, next=coming)
