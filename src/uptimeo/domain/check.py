"""What is a due check?"""

from dataclasses import dataclass
from datetime import datetime

from uptimeo.domain.heartbeat import Origin
from uptimeo.domain.monitor import Monitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One slot of one monitor, and the leadership under which it may run."""

    monitor: Monitor
    scheduled_at: datetime
    origin: Origin
