"""Which heartbeats may go when the disk is full? Pure."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from uptimeo.heartbeats.spooled import Spooled

_KEEP_ONE_PER_S = 300


def thin(rows: Iterable[Spooled]) -> list[Spooled]:
    """Of rows in order of arrival, those that tell the least.

    These are heartbeats that are `up` like the one before of the same monitor, but for one in
    five minutes. A change of state, a failure, and whatever is damaged or unreadable
    stays.
    """
    last_status: dict[int, str] = {}
    kept_in: dict[int, int] = {}
    expendable = []
    for row in rows:
        fields = _read(row.body) if row.sound else None
        if fields is None:
            continue
        monitor, status, bucket = fields
        same = last_status.get(monitor) == status == "up"
        if same and kept_in.get(monitor) == bucket:
            expendable.append(row)
        else:
            kept_in[monitor] = bucket
        last_status[monitor] = status
    return expendable


def _read(body: str) -> tuple[int, str, int] | None:
    try:
        row: Any = json.loads(body)
        slot = datetime.fromisoformat(row["scheduled_at"])
        return int(row["monitor_id"]), str(row["status"]), int(slot.timestamp()) // _KEEP_ONE_PER_S
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
