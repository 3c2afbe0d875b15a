"""What do jobs that are watched from the inside say, and what is known of them?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SignalKind(StrEnum):
    """START begins a run; each of the others ends one."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"
    EXIT = "exit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One call of a job. `run_ms` is the time since the start that belongs to this end."""

    kind: SignalKind
    at: datetime
    exit_status: int | None = None
    run_ms: float | None = None
    body: str = ""

    @property
    def failed(self) -> bool:
        """Whether the job says that it went wrong."""
        return self.kind is SignalKind.FAIL or bool(self.exit_status)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, both ends included, in which a receiver could take signals."""

    began: datetime
    seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalState:
    """What the database knows of a job at the time `now`, by its own clock.

    `since` is when its monitor was made. `stretches` are in order of their beginning, those that
    ended before the last end of a run left out.
    """

    now: datetime
    since: datetime
    last_end: Signal | None
    last_start: Signal | None
    stretches: Sequence[Stretch]

    @property
    def anchor(self) -> datetime:
        """From when on the next end is awaited."""
        return self.since if self.last_end is None else self.last_end.at

    @property
    def running(self) -> Signal | None:
        """The start of the run that has not ended yet."""
        start = self.last_start
        return start if start is not None and start.at > self.anchor else None
