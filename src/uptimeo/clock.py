"""What time is it, for everybody? UTC by the database's clock, carried by a clock that never steps.

Anyone may read it; only the election, which talks to the database every second, sets it.
"""

import math
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How fast two honest clocks may drift apart: NTP slews by 500 ppm at most.
_DRIFT = 5e-4


def boottime() -> float:
    """Seconds since boot. Counts suspend where the system can; never jumps with the wall clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ServerClock:
    """UTC as the database sees it; this host's own wall clock until the first `anchor`.

    The database read its clock between the sending of a statement and its answer. Each answer so
    confines the difference of the two clocks to an interval as wide as its round trip, and what
    all of them leave is the narrowest: the error is below half of the shortest round trip, and a
    slow answer does no harm.
    """

    def __init__(self) -> None:
        self._offset = time.time() - boottime()
        self._least, self._most = -math.inf, math.inf
        self._read_at = 0.0

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return EPOCH + timedelta(seconds=boottime() + self._offset)

    def anchor(self, server_now: datetime, sent_at: float, received_at: float) -> None:
        """Learn that it was `server_now` between two moments of `boottime`.

        An answer that contradicts the earlier ones says that the database's clock has stepped (or
        that the database is another one): ours steps with it.
        """
        read = (server_now - EPOCH).total_seconds()
        drifted = _DRIFT * max(0.0, received_at - self._read_at)
        least = max(self._least - drifted, read - received_at)
        most = min(self._most + drifted, read - sent_at)
        if least > most:
            least, most = read - received_at, read - sent_at
        self._least, self._most, self._read_at = least, most, received_at
        self._offset = (least + most) / 2
