"""Config rows: what agents read and what people change."""

import time

import pytest

from uptimeo.domain.errors import FatalError
from uptimeo.domain.monitor import DatacenterId, MonitorId
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage.database import Connection, Pool, one
from uptimeo.storage.monitor_edits import NewMonitor, NewSchedule
from uptimeo.storage.monitors import MonitorStore

VA, NY = DatacenterId(1), DatacenterId(2)
MINUTE = NewSchedule(interval_s=60, warning_ms=300, critical_ms=1000)


def a_monitor(name: str = "m", **fields: object) -> NewMonitor:
    given = {"type": "HTTP", "url": "http://127.0.0.1/", "schedule": MINUTE} | fields
    return NewMonitor(name=name, **given)  # type: ignore[arg-type]


async def names_in(pool: Pool, datacenter: DatacenterId) -> list[str]:
    return [row.name for row in await MonitorStore(pool, datacenter).rows()]


async def test_a_monitor_without_assignment_runs_everywhere(
    pool: Pool, connection: Connection
) -> None:
    await edits.add_monitor(connection, a_monitor("everywhere"))
    await edits.add_monitor(connection, a_monitor("in VA", datacenters=("VA",)))

    assert await names_in(pool, VA) == ["everywhere", "in VA"]
    assert await names_in(pool, NY) == ["everywhere"]


async def test_a_row_comes_back_as_it_was_saved(pool: Pool, connection: Connection) -> None:
    new = a_monitor(
        method="POST",
        headers={"X-A": "b"},
        body={"a": [1, None]},
        options={"expected_status": "201"},
        timeout_ms=1500,
        retries=2,
        retry_delay_ms=250,
    )

    await edits.add_monitor(connection, new)

    (row,) = await MonitorStore(pool, VA).rows()
    assert (row.retries, row.retry_delay_ms) == (2, 250)
    assert (row.method, row.headers, row.body, row.options) == (
        "POST",
        {"X-A": "b"},
        {"a": [1, None]},
        {"expected_status": "201"},
    )
    assert (row.interval_s, row.warning_ms, row.critical_ms, row.timeout_ms) == (
        60,
        300,
        1000,
        1500,
    )


async def test_monitors_with_the_same_wishes_share_a_schedule(connection: Connection) -> None:
    for name in "abc":
        await edits.add_monitor(connection, a_monitor(name))

    assert await one(connection, "SELECT string_agg(name, ';') FROM schedules") == (
        "every 60 s, 300 ms, 1000 ms"
    )


async def test_the_five_thousandth_monitor_of_a_schedule_is_added_as_fast_as_the_first(
    connection: Connection,
) -> None:
    often = NewSchedule(interval_s=60, name="often")

    async def added_in(names: range) -> float:
        began = time.perf_counter()
        for number in names:
            await edits.add_monitor(connection, a_monitor(f"m{number}", schedule=often))
        return time.perf_counter() - began

    async with connection.transaction():
        await added_in(range(20))
        first = await added_in(range(20, 40))
        await connection.execute(
            "INSERT INTO api_monitors (name, type, url, schedule_id)"
            " SELECT 'n' || n, 'HTTP', url, schedule_id"
            " FROM api_monitors, generate_series(1, 5000) n WHERE name = 'm1'"
        )
        last = await added_in(range(40, 60))

    assert last < 5 * first


async def test_a_disabled_or_removed_monitor_does_not_run(
    pool: Pool, connection: Connection
) -> None:
    off = await edits.add_monitor(connection, a_monitor("off"))
    gone = await edits.add_monitor(connection, a_monitor("gone"))

    assert await edits.enable_monitor(connection, off, enabled=False) == "off"
    assert await edits.remove_monitor(connection, gone) == "gone"

    assert await names_in(pool, VA) == []
    assert await edits.remove_monitor(connection, gone) is None


async def test_an_unknown_datacenter_or_schedule_is_named_with_the_known_ones(
    connection: Connection,
) -> None:
    with pytest.raises(FatalError, match=r"XX.*VA, NY"):
        await edits.add_monitor(connection, a_monitor(datacenters=("XX",)))
    with pytest.raises(FatalError, match=r"'hourly'; there are: none yet"):
        await edits.add_monitor(connection, a_monitor(schedule="hourly"))

    assert await one(connection, "SELECT count(*) FROM api_monitors") == 0


async def test_putting_a_monitor_again_changes_it_in_place(
    pool: Pool, connection: Connection
) -> None:
    await edits.put_monitor(connection, a_monitor(url="http://127.0.0.1/old"))
    before = (await MonitorStore(pool, VA).rows())[0].id

    await edits.put_monitor(connection, a_monitor(url="http://127.0.0.1/new"))

    (row,) = await MonitorStore(pool, VA).rows()
    assert (row.id, row.url) == (before, "http://127.0.0.1/new")


async def test_config_errors_appear_change_and_vanish(pool: Pool, connection: Connection) -> None:
    key = MonitorId(await edits.add_monitor(connection, a_monitor()))
    store = MonitorStore(pool, VA)
    seen = []

    for errors, valid in (({key: "bad url"}, []), ({key: "bad header"}, []), ({}, [key])):
        await store.record_errors(errors, valid)
        seen.append(await one(connection, "SELECT max(reason) FROM monitor_config_errors"))

    assert seen == ["bad url", "bad header", None]


async def test_an_error_of_a_monitor_that_was_removed_meanwhile_is_no_error(pool: Pool) -> None:
    await MonitorStore(pool, VA).record_errors({MonitorId(99): "gone"}, [])
