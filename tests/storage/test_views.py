"""Do the views and functions say what is so, and nothing that is secret?"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.rollups import FIVE, HOUR, add_monitor, every, insert, led_since, roll
from uptimeo.storage.database import Connection, Pool, connect, one
from uptimeo.storage.unusual import UnusualStore

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
COLUMNS = """
SELECT c.relname || '.' || a.attname FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relkind IN ('v', 'r', 'p') AND NOT c.relispartition AND NOT a.attisdropped
  AND c.relname <> 'alembic_version'
"""
TABLES_AND_VIEWS = """
SELECT relname FROM pg_class
WHERE relkind IN ('v', 'r', 'p') AND NOT relispartition AND relname <> 'alembic_version'
  AND relnamespace = 'public'::regnamespace
"""
# Not of heartbeats themselves, which may have headers and bodies.
VIEWS = TABLES_AND_VIEWS + " AND relkind = 'v' AND relname <> 'api_heartbeats'"
FUNCTIONS = ("latencies", "latency_phases", "slowest_phases", "outages", "known_from")


async def rows(connection: Connection, query: str, *given: Any) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode(), given or None)
    return await cursor.fetchall()


def ago(minutes: int) -> datetime:
    """A whole minute before now."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - minutes * MINUTE


async def facts(
    connection: Connection, monitor: int, slots: list[datetime], **columns: str
) -> None:
    """Heartbeats that saw that."""
    await insert(connection, monitor, slots)
    for column, value in columns.items():
        await connection.execute(
            f"UPDATE api_heartbeats SET {column} = %s WHERE scheduled_at = ANY (%s)".encode(),
            (value, slots),
        )


async def seen(connection: Connection, fact: str) -> list[tuple[Any, ...]]:
    query = "SELECT value, first_seen, last_seen FROM monitor_facts WHERE fact = %s ORDER BY 2, 1"
    return await rows(connection, query, fact)


async def test_every_column_of_every_table_and_view_has_a_comment(connection: Connection) -> None:
    bare = await rows(connection, COLUMNS + " AND col_description(c.oid, a.attnum) IS NULL")

    assert len(await rows(connection, COLUMNS)) > 300
    assert bare == []


async def test_every_table_view_and_function_for_people_has_a_comment(
    connection: Connection,
) -> None:
    bare = await rows(
        connection, TABLES_AND_VIEWS + " AND obj_description(oid, 'pg_class') IS NULL"
    )
    functions = await rows(
        connection,
        "SELECT proname FROM pg_proc WHERE proname = ANY (%s)"
        " AND obj_description(oid, 'pg_proc') IS NOT NULL",
        list(FUNCTIONS),
    )

    assert bare == []
    assert {name for (name,) in functions} == set(FUNCTIONS)


async def test_no_view_shows_what_a_monitor_keeps_secret(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    await connection.execute(
        "UPDATE api_monitors SET url = 'https://u:s3cr3t@h/?key=s3cr3t', body = '\"s3cr3t\"',"
        ' headers = \'{"Authorization": "s3cr3t"}\', options = \'{"auth": "s3cr3t"}\''
    )
    await insert(connection, monitor, [ago(3)], status="down")
    await connection.execute(
        'UPDATE api_heartbeats SET raw_request_headers = \'{"a": "s3cr3t"}\','
        ' raw_response_headers = \'{"a": "s3cr3t"}\', raw_response_body = \'"s3cr3t"\''
    )
    await connection.execute(
        "INSERT INTO api_heartbeats_set_aside (datacenter_id, reason, payload)"
        " VALUES (1, 'invalid input: s3cr3t', '{\"raw_request_headers\": \"s3cr3t\"}')"
    )
    names = await rows(connection, VIEWS)

    shown = [await rows(connection, f"SELECT v::text FROM {name} v") for (name,) in names]

    assert sum(map(len, shown)) >= 4
    assert "s3cr3t" not in str(shown)


async def test_a_monitor_without_a_heartbeat_is_pending_and_overdue(connection: Connection) -> None:
    await led_since(connection, HOUR)
    await add_monitor(connection)

    states = await rows(connection, "SELECT state, since, overdue FROM monitor_states")

    assert states == [("pending", None, True)]


async def test_a_state_is_there_only_where_the_monitor_runs(connection: Connection) -> None:
    await led_since(connection, HOUR)
    await led_since(connection, HOUR, place=2)
    monitor = await add_monitor(connection)
    await connection.execute("INSERT INTO datacenter_monitors VALUES (2, %s)", (monitor,))

    assert await rows(connection, "SELECT datacenter_id FROM monitor_states") == [(2,)]


@pytest.mark.parametrize("rolled", [False, True])
async def test_a_state_began_with_the_first_check_of_its_run(
    connection: Connection, *, rolled: bool
) -> None:
    await led_since(connection, ago(180))
    monitor = await add_monitor(connection)
    slots = every(60, 120, ago(121))
    await insert(connection, monitor, slots[:50])
    await insert(connection, monitor, slots[50:], status="down")
    if rolled:
        await roll(connection)

    states = await rows(connection, "SELECT state, since, last_slot, overdue FROM monitor_states")

    assert states == [("down", slots[50], slots[-1], False)]


async def test_a_run_of_more_than_a_day_is_known_to_five_minutes(connection: Connection) -> None:
    began = HOUR - 2 * DAY
    await led_since(connection, began)
    monitor = await add_monitor(connection, interval_s=600)
    await connection.execute("SELECT partition_for('heartbeats', %s)", (began,))
    slots = every(600, 6 * 50, began)
    await insert(connection, monitor, slots[:20])
    await insert(connection, monitor, slots[20:21], status="down")
    await insert(connection, monitor, slots[21:])
    await roll(connection)

    states = await rows(connection, "SELECT state, since FROM monitor_states")

    assert states == [("up", slots[20] + FIVE)]


async def test_a_run_without_another_status_began_with_what_is_known(
    connection: Connection,
) -> None:
    began = HOUR - 2 * DAY
    await led_since(connection, began)
    monitor = await add_monitor(connection, interval_s=600)
    await connection.execute("SELECT partition_for('heartbeats', %s)", (began,))
    await insert(connection, monitor, every(600, 6 * 50, began))
    await roll(connection)

    assert await rows(connection, "SELECT since FROM monitor_states") == [(began,)]


async def test_the_newest_failures_come_from_an_index(connection: Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    plan = await rows(
        connection,
        "EXPLAIN SELECT * FROM failures WHERE slot > now() - interval '1 day'"
        " ORDER BY slot DESC LIMIT 10",
    )

    assert "_scheduled_at_idx" in str(plan)


async def test_a_failure_says_whether_what_was_seen_is_kept(connection: Connection) -> None:
    monitor = await add_monitor(connection)
    slots = [ago(3), ago(2), ago(1)]
    await insert(connection, monitor, slots, status="down")
    evidence = "INSERT INTO heartbeat_evidence VALUES (%s, %s, %s, 'failure')"
    for place, slot in ((1, slots[0]), (2, slots[1])):
        await connection.execute(evidence, (slot, monitor, place))

    found = await rows(connection, "SELECT slot, has_evidence FROM failures ORDER BY slot")

    assert found == [(slots[0], True), (slots[1], False), (slots[2], False)]


async def test_who_does_not_ask_for_evidence_does_not_read_it(connection: Connection) -> None:
    told = "EXPLAIN SELECT slot, error_type{} FROM failures WHERE slot > now() - interval '1 day'"

    without = await rows(connection, told.format(""))
    asked = await rows(connection, told.format(", has_evidence"))

    assert ("heartbeat_evidence" in str(asked), "heartbeat_evidence" in str(without)) == (
        True,
        False,
    )


async def test_a_value_is_seen_from_its_first_check_to_its_last(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    slots = every(60, 120)
    await facts(connection, monitor, slots[:61], response_server="old")
    await facts(connection, monitor, slots[61:], response_server="new")
    await roll(connection)

    (_, _, old_until), (_, _, new_until) = await seen(connection, "server")
    assert slots[60] - timedelta(hours=1) <= old_until <= slots[60]
    assert slots[-1] - timedelta(hours=1) <= new_until <= slots[-1]
    changes = await rows(
        connection, "SELECT changed_at, fact, old_value, new_value FROM target_changes"
    )
    assert changes == [(slots[61], "server", "old", "new")]


async def test_addresses_that_take_turns_change_once(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    slots = every(60, 100)
    await facts(connection, monitor, slots[::2], resolved_ip="192.0.2.1")
    await facts(connection, monitor, slots[1::2], resolved_ip="192.0.2.2")
    await roll(connection)

    changes = await rows(connection, "SELECT changed_at, new_value FROM target_changes")

    assert changes == [(slots[1], "192.0.2.2")]


async def test_late_heartbeats_end_in_the_same_facts(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    slots = every(60, 100)
    await facts(connection, monitor, slots[50:], http_version="2")
    await roll(connection)
    await facts(connection, monitor, slots[20:50], http_version="1.1")
    await facts(connection, monitor, slots[:10], http_version="1.1")
    await roll(connection)
    await roll(connection)

    found = [(value, since) for value, since, _ in await seen(connection, "http_version")]

    assert found == [("1.1", slots[0]), ("2", slots[50])]


async def test_a_value_that_comes_back_is_another_change(connection: Connection) -> None:
    began = HOUR - timedelta(hours=10)
    await led_since(connection, began)
    monitor = await add_monitor(connection, interval_s=300)
    slots = every(300, 120, began)
    await facts(connection, monitor, slots[:40], response_server="a")
    await facts(connection, monitor, slots[40:80], response_server="b")
    await facts(connection, monitor, slots[80:], response_server="a")
    await roll(connection)

    changes = await rows(
        connection, "SELECT changed_at, new_value FROM target_changes ORDER BY changed_at"
    )

    assert changes == [(slots[40], "b"), (slots[80], "a")]


async def test_a_value_after_a_silence_is_no_change(connection: Connection) -> None:
    began = HOUR - timedelta(hours=10)
    await led_since(connection, began)
    monitor = await add_monitor(connection, interval_s=300)
    slots = every(300, 120, began)
    await facts(connection, monitor, slots[:10], response_server="a")
    await facts(connection, monitor, slots[100:], response_server="a")
    await roll(connection)

    assert [value for value, *_ in await seen(connection, "server")] == ["a"]


async def test_of_a_fact_that_never_stays_the_newest_two_hundred_are_kept(
    connection: Connection,
) -> None:
    began = HOUR - timedelta(hours=3)
    await led_since(connection, began)
    monitor = await add_monitor(connection)
    slots = every(60, 250, began)
    await insert(connection, monitor, slots)
    await connection.execute(
        "UPDATE api_heartbeats SET response_server = 'n' || extract(epoch FROM scheduled_at)"
    )
    await roll(connection)

    found = await seen(connection, "server")

    assert len(found) <= 200
    assert found[-1][1] == slots[-1]


async def test_a_certificate_is_known_by_its_fingerprint(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    certificate = '{"certificate": {"fingerprint": "ab12", "issuer": "CN=x", "serial": "1"}}'
    await insert(connection, monitor, [HOUR], details=certificate)
    await insert(connection, monitor, [HOUR + MINUTE], details='{"certificate": "odd"}')
    await roll(connection)

    assert await seen(connection, "certificate") == [("ab12", HOUR, HOUR)]
    assert await one(connection, "SELECT about ->> 'issuer' FROM monitor_facts") == "CN=x"


async def test_outages_are_stretches_with_their_exact_length(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    slots = every(60, 119)
    await insert(connection, monitor, slots[:57])
    await insert(connection, monitor, slots[57:63], status="down")
    await insert(connection, monitor, slots[63:90])
    await insert(connection, monitor, slots[90:91], status="down")
    await insert(connection, monitor, slots[91:])
    await roll(connection)

    found = await rows(
        connection,
        "SELECT began, ended, down_ms, failed_checks FROM outages(%s, now())",
        HOUR - DAY,
    )

    assert found == [
        (HOUR + 11 * FIVE, HOUR + 13 * FIVE, 360_000, 6),
        (HOUR + 18 * FIVE, HOUR + 19 * FIVE, 60_000, 1),
    ]


async def test_the_quantiles_of_all_monitors_are_those_of_each(connection: Connection) -> None:
    await led_since(connection, HOUR)
    for ms in (50.0, 700.0):
        monitor = await add_monitor(connection)
        await insert(connection, monitor, every(60, 50), ms=ms)
        await insert(connection, monitor, every(60, 60), ms=ms * 3)
    await roll(connection)
    window = (HOUR, HOUR + timedelta(hours=1))

    for monitor, *together in await rows(
        connection, "SELECT monitor_id, p50_ms, p95_ms, p99_ms FROM latencies(%s, %s)", *window
    ):
        alone = await rows(
            connection, "SELECT ms FROM latency_percentiles(%s, %s, %s)", monitor, *window
        )
        assert [(ms,) for ms in together] == alone


async def test_the_slowest_phase_is_the_one_with_most_of_the_time(connection: Connection) -> None:
    await led_since(connection, HOUR)
    monitor = await add_monitor(connection)
    await insert(connection, monitor, every(60, 60), ms=200.0)
    await roll(connection)

    found = await rows(
        connection, "SELECT phase, mean_ms, share FROM slowest_phases(%s, now())", HOUR
    )

    assert found == [("wait", 100.0, 0.5)]


async def test_heartbeats_where_nothing_was_due_are_unusual(connection: Connection) -> None:
    await led_since(connection, HOUR)
    await led_since(connection, HOUR, place=2)
    monitor = await add_monitor(connection)
    await connection.execute("UPDATE monitor_duty SET datacenters = '{1}'")
    await insert(connection, monitor, every(60, 60))
    await insert(connection, monitor, every(60, 60), place=2)
    await insert(connection, monitor, every(60, 60), place=77)
    await roll(connection)

    found = await rows(
        connection, "SELECT datacenter_id, kind, rows FROM unusual_heartbeats ORDER BY 1"
    )

    assert found == [
        (2, "not due there and then", 60),
        (77, "datacenter that is not there", 60),
    ]


async def test_whoever_maintains_counts_unusual_heartbeats_of_today_and_yesterday(
    connection: Connection, pool: Pool, logins: Mapping[str, str]
) -> None:
    days_ago = HOUR - 3 * DAY
    await connection.execute("SELECT partition_for('heartbeats', %s)", (days_ago,))
    for place, slots in ((2, every(60, 3)), (77, every(60, 2)), (3, every(60, 1, days_ago))):
        await insert(connection, 12345, slots, place=place)
    await roll(connection)

    async with await connect(logins["lon"]) as agent:
        as_agent = await rows(
            agent,
            "SELECT datacenter_id, kind, rows FROM unusual_heartbeats_since(%s) ORDER BY 1",
            datetime.now(UTC) - DAY,
        )

    counts = await UnusualStore(pool).counts()
    (code,) = (await rows(connection, "SELECT code FROM datacenters WHERE id = 2"))[0]
    assert counts == {
        (code, "not due there and then"): 3,
        ("id 77", "datacenter that is not there"): 2,
    }
    assert as_agent == [(2, "not due there and then", 3), (77, "datacenter that is not there", 2)]


async def test_what_was_set_aside_is_counted_by_kind(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO api_heartbeats_set_aside (datacenter_id, reason, payload) VALUES"
        " (1, 'unknown term', '{\"term\": 7}'), (1, 'unknown term', '{\"term\": 8}'),"
        " (1, 'wrong datacenter', 'no JSON'), (1, 'value too long', '[]'),"
        " (1, 'damaged on disk: the checksum of row 3 is wrong', '{\"te')"
    )

    found = await rows(
        connection, "SELECT kind, rows, last_term FROM set_aside_heartbeats ORDER BY 1"
    )

    assert found == [
        ("damaged on disk", 1, None),
        ("refused by PostgreSQL", 1, None),
        ("unknown term", 2, "8"),
        ("wrong datacenter", 1, None),
    ]
