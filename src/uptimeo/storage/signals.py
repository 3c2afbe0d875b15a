"""The signals of jobs: written by receivers, read by agents."""

from collections.abc import Mapping
from typing import Any

from psycopg.rows import dict_row

from uptimeo.domain.signal import Signal, SignalKind, SignalState, Stretch
from uptimeo.storage.database import Pool, borrowed, one

_RECEIVE = "SELECT push_receive(%(token)s, %(kind)s, %(exit_status)s, %(source)s, %(body)s)"
_ATTEND = "SELECT push_attend(%s, %s)"
_MONITOR = "SELECT id, now, since FROM push_monitor(%s)"
_NEWEST = "SELECT kind, received_at, exit_status, run_ms, body FROM push_newest(%s)"
_STRETCHES = """
SELECT began_at, seen_at FROM (
    SELECT began_at, seen_at FROM push_receiving WHERE seen_at >= %s ORDER BY id DESC LIMIT 200) s
ORDER BY began_at
"""


class SignalStore:
    """The tables `push_signals` and `push_receiving`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def receive(
        self, token_sha256: str, kind: SignalKind, exit_status: int | None, source: str, body: str
    ) -> bool:
        """Keep a signal; False if nobody has that token."""
        values = {
            "token": token_sha256,
            "kind": kind.value,
            "exit_status": exit_status,
            "source": source or None,
            "body": body or None,
        }
        async with borrowed(self._pool) as connection:
            return bool(await one(connection, _RECEIVE, values))

    async def attend(self, receiver: str, stretch: int | None) -> int:
        """Say that a receiver is there, in that stretch of time or in a new one; its id."""
        async with borrowed(self._pool) as connection:
            return int(await one(connection, _ATTEND, (receiver, stretch)))

    async def read(self, token_sha256: str) -> SignalState | None:
        """What is known of the monitor with that token; None if there is none."""
        async with borrowed(self._pool) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            monitor = await (await cursor.execute(_MONITOR, (token_sha256,))).fetchone()
            if monitor is None:
                return None
            rows = await (await cursor.execute(_NEWEST, (token_sha256,))).fetchall()
            signals = [_signal(row) for row in rows]
            end = next((s for s in signals if s.kind is not SignalKind.START), None)
            anchor = monitor["since"] if end is None else end.at
            found = await (await connection.execute(_STRETCHES, (anchor,))).fetchall()
        return SignalState(
            now=monitor["now"],
            since=monitor["since"],
            last_end=end,
            last_start=next((s for s in signals if s.kind is SignalKind.START), None),
            stretches=tuple(Stretch(began, seen) for began, seen in found),
        )


def _signal(row: Mapping[str, Any]) -> Signal:
    return Signal(
        kind=SignalKind(row["kind"]),
        at=row["received_at"],
        exit_status=row["exit_status"],
        run_ms=row["run_ms"],
        body=row["body"] or "",
    )
