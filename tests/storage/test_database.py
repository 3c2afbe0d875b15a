"""What becomes of a call to PostgreSQL that lasts too long?"""

import asyncio
import socket

import pytest
from psycopg.conninfo import make_conninfo

from uptimeo.domain.errors import TransientError
from uptimeo.storage.database import Connection, Pool, borrowed, make_pool, one

_SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"


async def _until_sleeping(connection: Connection) -> None:
    async with asyncio.timeout(20):
        while not await one(connection, _SLEEPING):
            await asyncio.sleep(0.01)


async def test_a_use_that_lasts_too_long_is_broken_off_and_the_pool_goes_on(pool: Pool) -> None:
    with pytest.raises(TransientError, match=r"no answer within 0\.1 s"):
        async with borrowed(pool, within_s=0.1) as connection:
            await connection.execute("SELECT pg_sleep(60)")

    async with borrowed(pool) as connection:
        assert await one(connection, "SELECT 7") == 7


async def test_a_cancelled_use_ends_as_cancelled_and_without_its_connection(
    pool: Pool, connection: Connection
) -> None:
    used: list[Connection] = []

    async def use() -> None:
        async with borrowed(pool) as mine:
            used.append(mine)
            await mine.execute("SELECT pg_sleep(60)")

    using = asyncio.create_task(use())
    await _until_sleeping(connection)
    using.cancel()
    await asyncio.wait({using}, timeout=20)

    assert using.cancelled()
    assert used[0].closed


async def test_a_pool_does_not_wait_for_minutes_once_the_database_is_back(
    conninfo: str,
) -> None:
    """Its own pauses grow to two minutes: it has to give up before, and begin anew when asked."""
    away = make_conninfo(conninfo, host="127.0.0.1", port=str(_a_free_port()))
    async with make_pool(away, size=4) as pool:
        async with asyncio.timeout(60):
            while pool.get_stats()["pool_size"]:
                await asyncio.sleep(0.1)
        pool.conninfo = conninfo

        async with borrowed(pool) as connection:
            assert await one(connection, "SELECT 7") == 7


def _a_free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
