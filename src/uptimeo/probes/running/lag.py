"""Did our own event loop stand still, so that its lateness was measured as the target's time?"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

# Sampled often enough that no stall worth doubting a figure for falls between two samples.
_EVERY_S = 0.01
_NOTABLE_MS = 20.0
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the loop was in a stretch of time: at worst, and in all."""

    worst_ms: float = 0.0
    total_ms: float = 0.0


class LoopLag:
    """Samples the lateness of the running loop, and keeps the last stalls: those above 20 ms."""

    def __init__(self) -> None:
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._late_ms: deque[float] = deque(maxlen=_KEPT)
        self._awaited_s: float | None = None
        self.stalls = 0  # ever

    async def run(self) -> None:
        """Sample for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._awaited_s = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            now = loop.time()
            late_ms = max(0.0, (now - self._awaited_s) * 1000)
            self._late_ms.append(late_ms)
            if late_ms > _NOTABLE_MS:
                self._stalls.append((now, late_ms))
                self.stalls += 1

    def p99_ms(self) -> float | None:
        """How late the loop was at most 99 times of 100, lately; None before it was sampled."""
        ranked = sorted(self._late_ms)
        return ranked[max(0, math.ceil(len(ranked) * 0.99) - 1)] if ranked else None

    def worst_ms(self) -> float | None:
        """How late the loop was at worst, lately; None before it was sampled."""
        return max(self._late_ms, default=None)

    def overdue_s(self) -> float | None:
        """For how long the next sample has been due and did not come; None if none was taken."""
        if self._awaited_s is None:
            return None
        return max(0.0, asyncio.get_running_loop().time() - self._awaited_s)

    def since(self, began_s: float) -> Lag:
        """What was notable since that moment of the loop's clock, with a stall that just ended."""
        late = [ms for ended, ms in self._stalls if ended >= began_s]
        if self._awaited_s is not None:
            now = asyncio.get_running_loop().time()
            pending_ms = (now - max(self._awaited_s, began_s)) * 1000
            if pending_ms > _NOTABLE_MS:
                late.append(pending_ms)
        return Lag(max(late, default=0.0), sum(late))
