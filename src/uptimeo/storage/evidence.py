"""What was kept of a monitor's failures?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from uptimeo.storage.database import Connection, our_errors

# The last of each datacenter comes off the end of the primary key, however many there are.
_LAST_FAILURE = """
SELECT d.code AS datacenter, e.scheduled_at, h.status, h.error_type, h.error_message, e.addresses,
       coalesce(e.request_headers, h.raw_request_headers) AS request_headers,
       coalesce(e.response_headers, h.raw_response_headers) AS response_headers,
       coalesce(e.response_body, h.raw_response_body) AS response_body,
       coalesce(e.certificate, h.details -> 'certificate') AS certificate
FROM datacenters d
CROSS JOIN LATERAL (
    SELECT * FROM heartbeat_evidence e
    WHERE e.monitor_id = %s AND e.datacenter_id = d.id AND e.reason = 'failure'
    ORDER BY e.scheduled_at DESC LIMIT 1) e
JOIN api_heartbeats h USING (monitor_id, datacenter_id, scheduled_at)
ORDER BY e.scheduled_at DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A failure and what was kept of it, without secrets; None where nothing was seen."""

    datacenter: str
    scheduled_at: datetime
    status: str
    error_type: str | None
    error_message: str | None
    addresses: list[str] | None
    request_headers: dict[str, str] | None
    response_headers: dict[str, str] | None
    response_body: Any
    certificate: dict[str, Any] | None


async def last_failure(connection: Connection, monitor: int) -> Evidence | None:
    """The newest failure of a monitor, in whatever datacenter; None if none is kept."""
    with our_errors():
        cursor = connection.cursor(row_factory=class_row(Evidence))
        return await (await cursor.execute(_LAST_FAILURE, (monitor,))).fetchone()
