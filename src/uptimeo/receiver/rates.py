"""Is somebody calling too often? Pure: the time is an argument."""

from collections import OrderedDict
from dataclasses import dataclass

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many calls at once, and then so many a second."""

    burst: int
    per_s: float


class RateLimit:
    """Counts the calls of each key; of the keys that were quiet longest, nothing is remembered."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, key: str, now_s: float) -> bool:
        """Whether that key may call once more; if so the call is counted."""
        left, at = self._left.pop(key, (float(self._rate.burst), now_s))
        left = min(float(self._rate.burst), left + (now_s - at) * self._rate.per_s)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now_s)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return allowed
