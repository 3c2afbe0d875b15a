"""What was to be done when: noted by triggers, whoever changes the configuration."""

from typing import Any

from tests.support.rollups import HOUR, add_monitor, led_since, roll
from uptimeo.storage.database import Connection, one
from uptimeo.storage.rollups import LEVELS

SPANS = "SELECT interval_s, datacenters FROM monitor_duty WHERE monitor_id = %s ORDER BY since"


async def history(connection: Connection, monitor: int) -> list[tuple[Any, ...]]:
    return await (await connection.execute(SPANS, (monitor,))).fetchall()


async def test_every_change_of_what_is_due_appends_a_row_and_no_other_does(
    connection: Connection,
) -> None:
    monitor = await add_monitor(connection)

    for statement in (
        "UPDATE api_monitors SET url = 'http://other/'",
        "UPDATE schedules SET interval = 30",
        "UPDATE schedules SET thresholds_warning = 5",
        "INSERT INTO datacenter_monitors SELECT d, id FROM api_monitors, unnest('{3,1}'::int[]) d",
        "UPDATE datacenter_monitors SET datacenter_id = 2 WHERE datacenter_id = 3",
        "UPDATE api_monitors SET enabled = false",
        "UPDATE api_monitors SET enabled = true",
        "UPDATE api_monitors SET schedule_id = NULL",
    ):
        await connection.execute(statement.encode())

    assert await history(connection, monitor) == [
        (60, None),
        (30, None),
        (30, [1, 3]),
        (30, [1, 2]),
        (None, None),
        (30, [1, 2]),
        (None, None),
    ]


async def test_a_new_monitor_had_nothing_to_do_before(connection: Connection) -> None:
    await connection.execute("INSERT INTO schedules (name, interval) VALUES ('s', 60)")
    monitor = await one(
        connection,
        "INSERT INTO api_monitors (name, url, schedule_id) SELECT 'm', 'http://h/', id"
        " FROM schedules RETURNING id",
    )

    assert await history(connection, monitor) == [(None, None), (60, None)]


async def test_a_transaction_is_one_change(connection: Connection) -> None:
    monitor = await add_monitor(connection)

    async with connection.transaction():
        await connection.execute("UPDATE api_monitors SET enabled = false")
        await connection.execute("INSERT INTO datacenter_monitors SELECT 4, id FROM api_monitors")
        await connection.execute("UPDATE api_monitors SET enabled = true")

    assert await history(connection, monitor) == [(60, None), (60, [4])]


async def test_a_monitor_that_is_removed_keeps_its_history(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await connection.execute("INSERT INTO datacenter_monitors SELECT 4, id FROM api_monitors")

    await connection.execute("DELETE FROM api_monitors")

    assert await history(connection, monitor) == [(60, None), (60, [4]), (None, None)]


async def test_what_no_trigger_sees_is_reconciled(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    await connection.execute("INSERT INTO datacenter_monitors SELECT 4, id FROM api_monitors")
    await connection.execute("TRUNCATE datacenter_monitors")

    assert await one(connection, "SELECT monitor_duty_reconcile()") == 1
    assert await one(connection, "SELECT monitor_duty_reconcile()") == 0
    assert (await history(connection, monitor))[-1] == (60, None)


async def test_a_change_marks_the_buckets_that_it_may_touch(connection: Connection) -> None:
    await add_monitor(connection)
    await led_since(connection, HOUR)
    await roll(connection)
    await connection.execute("DELETE FROM rollup_dirty")

    await connection.execute("UPDATE schedules SET interval = 30")

    marked = await one(
        connection,
        "SELECT count(*) FROM rollup_dirty WHERE level = %s AND datacenter_id = 1"
        " AND bucket BETWEEN now() - interval '5 min' AND now() + interval '15 min'",
        (LEVELS[0],),
    )
    assert marked >= 3
