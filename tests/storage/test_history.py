"""Does every change of the configuration leave who, when, old and new?"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uptimeo.storage import schema
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.history import changes_of, config_then

_MIGRATION = Path(schema.__file__).parent / "migrations/versions/0009_history.sql"
_ADD = "INSERT INTO api_monitors (name, url) VALUES ('shop', 'http://shop.example/') RETURNING id"
_SCHEDULED = """
INSERT INTO schedules (name, interval) VALUES ('fast', 10), ('slow', 60);
INSERT INTO api_monitors (id, name, url, schedule_id) VALUES (1, 'shop', 'http://a.example/', 1);
"""


async def now(connection: Connection) -> datetime:
    moment: datetime = await one(connection, "SELECT clock_timestamp()")
    return moment


async def actions(connection: Connection, monitor: int = 1) -> list[tuple[str, str]]:
    return [(each.source, each.action) for each in await changes_of(connection, monitor)]


async def test_a_change_tells_who_and_the_columns_that_differ(connection: Connection) -> None:
    await connection.execute("SET application_name = 'uptimeo alice@desk'")
    monitor = await one(connection, _ADD)
    await connection.execute("UPDATE api_monitors SET url = 'http://b.example/', timeout_ms = 5")

    added, changed = await changes_of(connection, monitor)
    assert (added.action, added.old) == ("insert", None)
    assert added.new is not None
    assert added.new["url"] == "http://shop.example/"
    assert changed.old == {"url": "http://shop.example/", "timeout_ms": None}
    assert changed.new == {"url": "http://b.example/", "timeout_ms": 5}
    assert changed.application == "uptimeo alice@desk"
    assert changed.role == await one(connection, "SELECT session_user")
    assert added.changed_at <= changed.changed_at


async def test_an_update_that_changes_nothing_leaves_nothing(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("UPDATE api_monitors SET url = url")

    assert await actions(connection) == [("api_monitors", "insert")]


async def test_a_thousand_rows_of_one_statement_are_all_kept(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO api_monitors (name, url)"
        " SELECT 'm' || n, 'http://h/' FROM generate_series(1, 1000) n"
    )
    await connection.execute("UPDATE api_monitors SET enabled = false WHERE id % 2 = 0")

    counted = "SELECT count(*) FROM config_history WHERE action = %s"
    assert await one(connection, counted, ("insert",)) == 1000
    assert await one(connection, counted, ("update",)) == 500


async def test_a_removed_monitor_and_its_places_are_still_told(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("INSERT INTO datacenter_monitors VALUES (2, 1), (3, 1)")
    await connection.execute("DELETE FROM api_monitors")

    assert sorted(await actions(connection)) == [
        ("api_monitors", "delete"),
        ("api_monitors", "insert"),
        *[("datacenter_monitors", "delete")] * 2,
        *[("datacenter_monitors", "insert")] * 2,
    ]


async def test_what_a_truncate_takes_is_kept(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("INSERT INTO datacenter_monitors VALUES (2, 1)")
    await connection.execute("TRUNCATE api_monitors CASCADE")

    assert ("api_monitors", "delete") in await actions(connection)
    assert ("datacenter_monitors", "delete") in await actions(connection)


async def test_a_new_key_is_a_row_that_went_and_one_that_came(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("UPDATE api_monitors SET id = 77")

    assert ("api_monitors", "delete") in await actions(connection, 1)
    assert await actions(connection, 77) == [("api_monitors", "insert")]


async def test_a_schedule_counts_while_the_monitor_has_it(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("UPDATE schedules SET interval = 20 WHERE id = 1")
    await connection.execute("UPDATE schedules SET interval = 90 WHERE id = 2")
    await connection.execute("UPDATE api_monitors SET schedule_id = 2")
    await connection.execute("UPDATE schedules SET interval = 30 WHERE id = 1")
    await connection.execute("UPDATE schedules SET interval = 99 WHERE id = 2")

    changed = [each.new for each in await changes_of(connection, 1) if each.source == "schedules"]
    assert changed == [{"interval": 20}, {"interval": 99}]


async def test_the_configuration_of_a_heartbeats_time_is_there(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("INSERT INTO datacenter_monitors VALUES (2, 1)")
    before = await now(connection)
    await connection.execute("UPDATE api_monitors SET url = 'http://b.example/', schedule_id = 2")
    await connection.execute("UPDATE schedules SET thresholds_warning = 300")
    await connection.execute("DELETE FROM datacenter_monitors")

    then, today = [
        await config_then(connection, 1, moment) for moment in (before, await now(connection))
    ]
    assert then is not None
    assert today is not None
    assert then.monitor["url"] == "http://a.example/"
    assert then.schedule is not None
    assert (then.schedule["name"], then.schedule["thresholds_warning"]) == ("fast", None)
    assert then.datacenters == ("NY",)
    assert today.schedule is not None
    assert (today.schedule["name"], today.schedule["thresholds_warning"]) == ("slow", 300)
    assert today.datacenters == ()


async def test_before_it_was_made_nothing_is_known_of_a_monitor(connection: Connection) -> None:
    before = await now(connection)
    await connection.execute(_SCHEDULED)

    assert await config_then(connection, 1, before) is None


async def test_rows_from_before_the_history_are_found_in_it(connection: Connection) -> None:
    await connection.execute(_SCHEDULED)
    await connection.execute("DROP TABLE config_history CASCADE")

    await connection.execute(_MIGRATION.read_bytes())

    assert await actions(connection) == [("api_monitors", "found")]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4), st.sampled_from("ab")),
        st.tuples(st.just("change"), st.integers(1, 4), st.sampled_from("abc")),
        st.tuples(st.just("remove"), st.integers(1, 4), st.just("")),
    ),
    max_size=12,
)
_SQL = {
    "add": "INSERT INTO api_monitors (id, name, url) VALUES (%s, 'm', %s) ON CONFLICT DO NOTHING",
    "change": "UPDATE api_monitors SET name = name || '', url = %s WHERE id = %s",
    "remove": "DELETE FROM api_monitors WHERE id = %s",
}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_STEPS)
def test_the_history_gives_the_table_of_any_moment(migrated: str, steps: list[Any]) -> None:
    async def play() -> None:
        async with await connect(migrated) as connection:
            await connection.execute("TRUNCATE api_monitors CASCADE")
            moments: list[tuple[datetime, dict[int, str]]] = []
            for action, key, url in steps:
                given = {"add": (key, url), "change": (url, key), "remove": (key,)}[action]
                await connection.execute(_SQL[action].encode(), given)
                cursor = await connection.execute("SELECT id, url FROM api_monitors")
                moments.append((await now(connection), dict(await cursor.fetchall())))
            for moment, rows in moments:
                for key in range(1, 5):
                    then = await config_then(connection, key, moment)
                    assert (None if then is None else then.monitor["url"]) == rows.get(key)

    asyncio.run(play())
