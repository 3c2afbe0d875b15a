"""What time is it, for everybody? UTC by the database's clock, carried by a clock that never steps.

Anyone may read it; only the election, which talks to the database every second, sets it.
"""

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_S = 0.5
_SLEW = 0.1


def boottime() -> float:
    """Seconds since boot. Counts suspend where the system can; never jumps with the wall clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ServerClock:
    """UTC as the database sees it; this host's own wall clock until the first `anchor`."""

    def __init__(self) -> None:
        self._offset = time.time() - boottime()
        self._anchored = False

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return EPOCH + timedelta(seconds=boottime() + self._offset)

    def anchor(self, server_now: datetime, at_boottime: float) -> None:
        """Learn that it was `server_now` at `at_boottime`.

        Differences below half a second are the network's jitter and are slewed; above, the
        database's clock has stepped (or the database is another one), and so does ours.
        """
        measured = (server_now - EPOCH).total_seconds() - at_boottime
        error = measured - self._offset
        if not self._anchored or abs(error) > _STEP_S:
            self._offset = measured
        else:
            self._offset += error * _SLEW
        self._anchored = True
