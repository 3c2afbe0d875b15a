"""Who stores heartbeats without a pause, and sees how long each batch took?"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from uptimeo.domain.lease import LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, connect
from uptimeo.storage.lease import Lease

VA = DatacenterId(1)
_INGEST = "SELECT inserted, duplicate, aside_reasons FROM heartbeats_ingest(1, %s::jsonb)"


@dataclass(slots=True)
class Ingesting:
    """Batches of one monitor each, with a slot every millisecond from the start of the term."""

    connection: Connection
    term: int
    holder: str
    began: datetime
    sent: int = 0
    aside: list[str] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    _batches: int = 0

    async def send(self, rows: int = 100, days_ago: Sequence[int] = (0,)) -> float:
        """Store one batch, its rows spread over those days; how long it took, in ms."""
        self._batches += 1
        bodies = [self._body(n, days_ago[n % len(days_ago)]) for n in range(rows)]
        began = time.perf_counter()
        answer = await (
            await self.connection.execute(_INGEST, (f"[{','.join(bodies)}]",))
        ).fetchone()
        took = (time.perf_counter() - began) * 1000
        assert answer is not None
        assert answer[0] + answer[1] + len(answer[2]) == rows
        self.sent += answer[0]
        self.aside.extend(answer[2])
        self.took_ms.append(took)
        return took

    def _body(self, n: int, days_ago: int) -> str:
        slot = self.began - timedelta(days=days_ago) + timedelta(milliseconds=n)
        row: dict[str, Any] = {
            "monitor_id": self._batches,
            "datacenter_id": 1,
            "agent_id": 1,
            "term": self.term,
            "holder": self.holder,
            "scheduled_at": slot.isoformat(),
            "executed_at": (self.began + timedelta(milliseconds=n)).isoformat(),
            "response_time_ms": 41.5,
            "response_status_code": 200,
            "status": "up",
            "success": True,
        }
        return json.dumps(row)


async def ingesting(conninfo: str) -> Ingesting:
    """Under a term of its own; the connection is the caller's to close."""
    lease, candidate = Lease(conninfo, VA, "ingesting", timedelta(hours=1)), uuid4()
    request = LeaseRequest(candidate=candidate, seen_term=0, seen_seq=0, may_steal=False)
    answer = await lease.ask(request, 10)
    await lease.aclose()
    assert answer.held
    return Ingesting(await connect(conninfo), answer.term, str(candidate), answer.server_now)
