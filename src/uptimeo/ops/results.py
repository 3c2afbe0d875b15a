"""What did the last check of each monitor in force see, and how many checks were there?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.monitor import Monitor, MonitorId
from uptimeo.domain.result import ErrorType
from uptimeo.domain.verdict import Status
from uptimeo.ops.counting import Distribution
from uptimeo.ops.probe_metrics import expiries, values
from uptimeo.ops.series import Seen, label_text

MOST_MONITORS = 5000


@dataclass(slots=True)
class _Entry:
    monitor: Monitor
    labels: str
    term: int | None = None
    seen: Seen | None = None
    expiries: Mapping[str, float] = field(default_factory=dict)


class Results:
    """Takes the heartbeats of an agent, and keeps of each monitor what a scraper may see.

    At most 5000 monitors have anything to show, those with the smallest ids; `left_out` are the
    others. A monitor that is no longer in force is forgotten. `fixed` labels stand on everything.
    """

    def __init__(self, fixed: Mapping[str, str]) -> None:
        self.fixed = fixed
        self._entries: dict[MonitorId, _Entry] = {}
        self.left_out = 0
        self.unreadable = 0
        self.statuses = Counter(dict.fromkeys(Status, 0))
        self.errors = Counter(dict.fromkeys(ErrorType, 0))
        self.delays = Distribution((0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1))

    def keep(self, monitors: Iterable[Monitor]) -> None:
        """These are in force. What an unchanged one has shown stays."""
        ordered = sorted(monitors, key=lambda each: each.id)
        self.left_out = max(0, len(ordered) - MOST_MONITORS)
        self._entries = {each.id: self._entry(each) for each in ordered[:MOST_MONITORS]}

    def _entry(self, monitor: Monitor) -> _Entry:
        old = self._entries.get(monitor.id)
        if old is not None and old.monitor is monitor:
            return old
        own = {"monitor_id": str(monitor.id), "monitor": monitor.name, "type": monitor.type}
        return _Entry(monitor, label_text(own | dict(self.fixed)))

    def take(self, beat: Heartbeat) -> None:
        """Count a heartbeat, and show what it says from now on. Never raises.

        What a plugin returned may be unlike what its types say: then the monitor shows nothing.
        """
        self.statuses[beat.status] += 1
        if beat.result.failure is not None:
            self.errors[beat.result.failure.type] += 1
        if beat.attempts:
            self.delays.observe((beat.executed_at - beat.scheduled_at).total_seconds())
        entry = self._entries.get(beat.monitor.id)
        if entry is None or entry.monitor is not beat.monitor:
            return  # it was removed or changed while the check was under way
        entry.term, entry.seen = beat.origin.term, None
        try:
            entry.expiries = expiries(beat, entry.expiries)
            entry.seen = Seen(entry.labels, values(beat, entry.expiries))
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError):
            self.unreadable += 1

    def shown(self, term: int | None) -> list[Seen]:
        """What the checks of that term saw, by the monitors' ids; nothing without a term."""
        if term is None:
            return []
        entries = self._entries.values()
        return [each.seen for each in entries if each.seen is not None and each.term == term]
