"""How many heartbeats are there that an agent in order does not make?"""

from uptimeo.storage.database import Pool, borrowed

# Today and yesterday, so that those of shortly before midnight are not gone after it.
_COUNTS = """
SELECT coalesce(datacenter, 'id ' || datacenter_id), kind, sum(rows)
FROM unusual_heartbeats_since(clock_timestamp() - interval '1 day')
GROUP BY 1, 2
"""
_WITHIN_S = 30.0


class UnusualStore:
    """What the agent that maintains the installation may know of them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def counts(self) -> dict[tuple[str, str], int]:
        """Those of today and yesterday, UTC: by the code of the sender's datacenter and by kind."""
        async with borrowed(self._pool, within_s=_WITHIN_S) as connection:
            found = await (await connection.execute(_COUNTS)).fetchall()
        return {(sender, kind): int(count) for sender, kind, count in found}
