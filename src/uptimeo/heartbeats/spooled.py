"""What is a heartbeat while it waits?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spooled:
    """One waiting heartbeat in its wire form; `seq` orders them by arrival."""

    seq: int
    body: str
