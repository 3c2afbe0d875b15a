"""How did PostgreSQL take the batches? Counted on their way to it."""

from collections import Counter
from collections.abc import Callable, Sequence

from uptimeo.domain.heartbeat import Ingested
from uptimeo.heartbeats.writer import Sink
from uptimeo.ops.counting import Distribution

# What `heartbeats_ingest` may say; whatever else comes is counted together.
REASONS = (
    "executed after its term",
    "executed before its term",
    "unknown term",
    "no partition for its day",
    "wrong datacenter",
)
OTHER = "other"
REFUSED = "refused or damaged"


class CountedSink:
    """The same sink, with an account of what it did."""

    def __init__(self, sink: Sink, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._clock = clock
        self.seconds = Distribution((0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
        self.rows = Distribution((1, 5, 10, 50, 100, 250, 500, 1000))
        self.failed = 0
        self.inserted = 0
        self.duplicates = 0
        self.set_asides: Counter[str] = Counter(dict.fromkeys((*REASONS, OTHER, REFUSED), 0))

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        """As the sink does it. A batch that is refused, or whose outcome is not known, failed."""
        began = self._clock()
        try:
            done = await self._sink.ingest(bodies)
        except Exception:
            self.failed += 1
            raise
        self.seconds.observe(self._clock() - began)
        self.rows.observe(len(bodies))
        self.inserted += done.inserted
        self.duplicates += done.duplicate
        for reason in done.set_aside.values():
            self.set_asides[reason if reason in REASONS else OTHER] += 1
        return done

    async def set_aside(self, body: str, reason: str) -> None:
        """As the sink does it."""
        self.set_asides[REFUSED] += 1
        await self._sink.set_aside(body, reason)
