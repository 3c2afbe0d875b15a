"""The tables that are cut by time: which there are, what is ready ahead, how long they are kept."""

from collections.abc import Mapping
from datetime import date

from psycopg.rows import class_row, dict_row

from uptimeo.domain.errors import FatalError, RejectedError
from uptimeo.domain.partition import Dropped, Dropping, Hold, PartitionState
from uptimeo.storage.database import Connection, Pool, borrowed, our_errors

_PARENTS = "SELECT parent FROM partition_plans ORDER BY parent"
_WITHOUT_TODAY = """
SELECT parent FROM partition_plans
WHERE NOT partition_coverage(parent) @> clock_timestamp() ORDER BY parent
"""
_ENSURE = "SELECT partitions_ensure(%s)"
_DROP = "SELECT partition, outcome FROM partition_drop_expired(%s)"
_EXPIRE = "SELECT history_expire()"
HELD = "SELECT since, believed_at, clock_at, still FROM retention_held()"
_CONFIRM = "SELECT retention_confirm(%s)"
_DAYS_AHEAD = "SELECT parent, partition_days_ahead(parent) FROM partition_plans"
_STATES = """
SELECT s.*, p.keep_at_least FROM partition_state s JOIN partition_plans p USING (parent)
ORDER BY parent
"""
_KEEP = "UPDATE partition_plans SET keep_days = %s WHERE parent = %s RETURNING parent"
# Several partitions at once, each of which may wait for a lock.
_ENSURE_S = 60.0


class PartitionStore:
    """What an agent that maintains the installation does to its partitions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def parents(self) -> list[str]:
        """The tables that are cut by time."""
        async with borrowed(self._pool) as connection:
            cursor = await connection.execute(_PARENTS)
            return [parent for (parent,) in await cursor.fetchall()]

    async def ensure(self, parent: str) -> list[str]:
        """Make the partitions of a table that are missing, ahead too; answers with their names."""
        async with borrowed(self._pool, within_s=_ENSURE_S) as connection:
            return await ensure(connection, parent)

    async def drop_expired(self, parent: str) -> Dropped:
        """Drop the oldest partition of a table if its plan no longer keeps it."""
        async with borrowed(self._pool) as connection:
            row = await (await connection.execute(_DROP, (parent,))).fetchone()
        assert row is not None
        partition, outcome = row
        return Dropped(outcome=Dropping(outcome), partition=partition)

    async def expire_history(self) -> int:
        """Delete some of what is too old and in no partition; how many rows it was."""
        async with borrowed(self._pool) as connection:
            row = await (await connection.execute(_EXPIRE)).fetchone()
        assert row is not None
        return int(row[0])

    async def held(self) -> Hold | None:
        """Why nothing of any table is dropped; None if it is."""
        async with borrowed(self._pool) as connection:
            return await held(connection)

    async def days_ahead(self) -> Mapping[str, int]:
        """For how many whole days after today each table has room; -1: not even today."""
        async with borrowed(self._pool) as connection:
            return dict(await (await connection.execute(_DAYS_AHEAD)).fetchall())


async def ensure(connection: Connection, parent: str) -> list[str]:
    """As the method, on that connection; raises errors of psycopg."""
    cursor = await connection.execute(_ENSURE, (parent,))
    return [name for (name,) in await cursor.fetchall()]


async def without_today(connection: Connection) -> list[str]:
    """The tables that have no partition for the rows of now; raises errors of psycopg."""
    cursor = await connection.execute(_WITHOUT_TODAY)
    return [parent for (parent,) in await cursor.fetchall()]


async def states(connection: Connection) -> list[PartitionState]:
    """All tables that are cut by time, in order of their names; raises errors of psycopg."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_STATES)
    return [PartitionState(**row) for row in await cursor.fetchall()]


async def held(connection: Connection) -> Hold | None:
    """As the method, on that connection; raises errors of psycopg."""
    cursor = connection.cursor(row_factory=class_row(Hold))
    return await (await cursor.execute(HELD)).fetchone()


async def confirm(connection: Connection, today: date) -> None:
    """Say that the database's clock is right, so that retention goes by it.

    Raises FatalError if the clock says another day (UTC).
    """
    try:
        with our_errors():
            await connection.execute(_CONFIRM, (today,))
    except RejectedError as error:
        raise FatalError(str(error).partition("\n")[0]) from error


async def keep(connection: Connection, parent: str, days: int | None) -> None:
    """Keep a table for that many days from now on; None: for ever.

    Raises FatalError for a table that is not cut by time, or a number that its plan forbids.
    """
    try:
        with our_errors():
            row = await (await connection.execute(_KEEP, (days, parent))).fetchone()
    except RejectedError as error:
        raise FatalError(str(error).partition("\n")[0]) from error
    if row is None:
        known = ", ".join(state.parent for state in await states(connection))
        raise FatalError(f"there is no retention for {parent!r}: it can be set for {known}")
