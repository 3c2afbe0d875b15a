"""What ought a stretch of time to be? The rules of the rollups once more, moment by moment.

Plain and slow, so that it can be read beside the SQL: of each piece between two moments at which
anything changes, only its beginning is judged.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

KINDS = (
    *("up_ms", "degraded_ms", "critical_ms", "down_ms", "maintenance_ms", "unknown_ms"),
    *("no_leader_ms", "not_scheduled_ms", "missing_ms"),
)
_EVER = -(10**15)


@dataclass(frozen=True, slots=True)
class Duty:
    """From `since` on (ms; None: ever) a check each `interval_ms`, None for nothing."""

    since: int | None
    interval_ms: int | None


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat by its slot, in ms."""

    slot: int
    status: str


@dataclass(frozen=True, slots=True)
class World:
    """What is known of one monitor in one datacenter; stretches are pairs of ms."""

    duties: Sequence[Duty]
    beats: Sequence[Beat]
    maintenance: Sequence[tuple[int, int]]
    led: Sequence[tuple[int, int]]

    def kinds(self, begin: int, end: int) -> Counter[str]:
        """How long which kind lasted between two moments."""
        cuts = sorted({begin, end, *(cut for cut in self._cuts() if begin < cut < end)})
        found: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        for since, until in pairwise(cuts):
            found[self._kind(since)] += until - since
        return found

    def _cuts(self) -> list[int]:
        stretches = [moment for pair in (*self.maintenance, *self.led) for moment in pair]
        for since, _, interval in self._spans():
            stretches += [since, since + (interval or 0)]
        for beat in self.beats:
            stretches += [beat.slot, beat.slot + (self._span(beat.slot)[2] or 0)]
        return stretches

    def _spans(self) -> list[tuple[int, int, int | None]]:
        spans: list[tuple[int, int, int | None]] = []
        for duty in sorted(self.duties, key=lambda duty: duty.since or _EVER):
            since = _EVER if duty.since is None else duty.since
            if spans and spans[-1][2] == duty.interval_ms:
                continue
            if spans:
                spans[-1] = (spans[-1][0], since, spans[-1][2])
            spans.append((since, -_EVER, duty.interval_ms))
        return spans

    def _span(self, moment: int) -> tuple[int, int, int | None]:
        return next(span for span in self._spans() if span[0] <= moment < span[1])

    def _kind(self, moment: int) -> str:
        since, _, interval = self._span(moment)
        if interval is None:
            return "not_scheduled_ms"
        if any(begin <= moment < end for begin, end in self.maintenance):
            return "maintenance_ms"
        before = [beat for beat in self.beats if since <= beat.slot <= moment]
        last = max(before, key=lambda beat: beat.slot, default=None)
        if last is not None and moment < last.slot + interval:
            return f"{last.status}_ms"
        return self._gap(moment, since, interval)

    def _gap(self, moment: int, since: int, interval: int) -> str:
        settling = since != _EVER and moment < since + interval
        if settling or moment < min(begin for begin, _ in self.led):
            return "not_scheduled_ms"
        led = any(begin <= moment < end for begin, end in self.led)
        return "missing_ms" if led else "no_leader_ms"
