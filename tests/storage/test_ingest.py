"""The batch function on a real PostgreSQL: exactly once, fenced, and nothing thrown away."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from psycopg.rows import dict_row

from tests.evidence.database_rows import batches, begin_terms, targets, yesterday
from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.lease import LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, Pool, one
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.storage.lease import Lease

VA = DatacenterId(1)


@pytest.fixture
def store(pool: Pool) -> HeartbeatStore:
    return HeartbeatStore(pool, VA)


async def a_term(conninfo: str) -> dict[str, Any]:
    """Take the lease for a moment: the term and holder that heartbeats carry."""
    lease = Lease(conninfo, VA, "agent", timedelta(seconds=0))
    candidate = uuid4()
    seen = await lease.ask(
        LeaseRequest(candidate=candidate, seen_term=0, seen_seq=0, may_steal=False), 5
    )
    if not seen.held:
        theft = LeaseRequest(
            candidate=candidate, seen_term=seen.term, seen_seq=seen.seq, may_steal=True
        )
        seen = await lease.ask(theft, 5)
    await lease.aclose()
    assert seen.held
    return {"term": seen.term, "holder": str(candidate), "now": seen.server_now}


def a_row(term: dict[str, Any], /, **fields: Any) -> str:
    now = term["now"]
    row = {
        "monitor_id": 7,
        "datacenter_id": 1,
        "term": term["term"],
        "holder": term["holder"],
        "scheduled_at": now.isoformat(),
        "executed_at": (now + timedelta(milliseconds=5)).isoformat(),
        "status": "up",
        "success": True,
    }
    return json.dumps(row | fields)


def slot(term: dict[str, Any], seconds: float) -> str:
    moment: datetime = term["now"] + timedelta(seconds=seconds)
    return moment.isoformat()


async def test_a_batch_is_stored_and_the_same_batch_again_adds_nothing(
    conninfo: str, store: HeartbeatStore
) -> None:
    term = await a_term(conninfo)
    batch = [a_row(term, scheduled_at=slot(term, -n)) for n in range(100)]

    first = await store.ingest(batch)
    again = await store.ingest(batch)

    assert (first.inserted, first.duplicate, first.set_aside) == (100, 0, {})
    assert (again.inserted, again.duplicate, again.set_aside) == (0, 100, {})


async def test_every_column_arrives_as_it_was_sent(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    fields = {
        "response_time_ms": 12.345,
        "dns_lookup_ms": 1.5,
        "tcp_connect_ms": 2.25,
        "tls_handshake_ms": 3.125,
        "send_ms": 0.5,
        "wait_ms": 4.0,
        "transfer_ms": 0.75,
        "redirect_ms": 0.125,
        "time_to_first_byte_ms": 11.0,
        "response_size_bytes": 321,
        "response_status_code": 200,
        "warning_threshold_ms": 300,
        "critical_threshold_ms": 1000,
        "attempts": 1,
        "http_version": "1.1",
        "failed_phase": "wait",
        "error_type": "first_byte_timeout",
        "resolved_ip": "2001:db8::1",
        "response_content_type": "text/html",
        "response_server": "nginx",
        "response_cache_status": "HIT",
        "error_message": "no first byte",
        "raw_request_headers": {"A": "b"},
        "raw_response_headers": {"C": "d"},
        "raw_response_body": "text",
        "details": {"loss": 0.25, "phases": {"login_ms": 12.5}},
    }

    await store.ingest([a_row(term, **fields)])

    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute("SELECT * FROM api_heartbeats")
    row = await cursor.fetchone()
    assert row is not None
    row["resolved_ip"] = str(row["resolved_ip"])
    assert {key: row[key] for key in fields} == fields
    assert row["executed_at"] == (term["now"] + timedelta(milliseconds=5)).astimezone(UTC).replace(
        tzinfo=None
    )


async def test_what_an_earlier_release_has_spooled_is_stored(
    conninfo: str, store: HeartbeatStore
) -> None:
    term = await a_term(conninfo)

    done = await store.ingest([a_row(term, queue_ms=1.5)])

    assert done.inserted == 1


async def test_a_healthy_row_does_not_grow(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    await begin_terms(connection, yesterday())
    (batch,) = batches(targets(100), VA, seconds=30, size=100)

    await store.ingest(batch)

    size = "SELECT avg(pg_column_size(h)) FROM api_heartbeats h"
    assert await one(connection, size) < 180


async def test_a_row_of_a_term_that_was_over_is_fenced_and_a_late_one_is_not(
    conninfo: str, store: HeartbeatStore
) -> None:
    old = await a_term(conninfo)
    new = await a_term(conninfo)
    late = a_row(old, scheduled_at=slot(old, -1), executed_at=slot(old, 0))
    zombie = a_row(old, executed_at=slot(new, 1))

    done = await store.ingest([late, zombie])

    assert done.inserted == 1
    assert done.set_aside == {1: "executed after its term"}


async def test_a_fenced_row_does_not_take_the_slot_of_the_rightful_one(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    old = await a_term(conninfo)
    new = await a_term(conninfo)
    same = slot(new, 1)
    zombie = a_row(old, scheduled_at=same, executed_at=same, status="down", success=False)
    rightful = a_row(new, scheduled_at=same, executed_at=same)

    await store.ingest([zombie, rightful])

    assert await one(connection, "SELECT string_agg(status, ',') FROM api_heartbeats") == "up"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"datacenter_id": 2}, "wrong datacenter"),
        ({"scheduled_at": "2019-01-01T00:00:00Z"}, "no partition for its day"),
        ({"scheduled_at": "9999-12-31T00:00:00Z"}, "no partition for its day"),
        ({"term": 99}, "unknown term"),
        ({"holder": str(uuid4())}, "unknown term"),
        ({"executed_at": "2020-01-01T00:00:00Z"}, "executed before its term"),
    ],
)
async def test_a_row_that_cannot_count_is_set_aside_with_its_reason_and_the_rest_is_stored(
    conninfo: str,
    store: HeartbeatStore,
    connection: Connection,
    fields: dict[str, Any],
    reason: str,
) -> None:
    term = await a_term(conninfo)
    good = a_row(term, monitor_id=1)

    done = await store.ingest([good, a_row(term, **fields)])

    assert (done.inserted, done.set_aside) == (1, {1: reason})
    assert await one(connection, "SELECT reason FROM api_heartbeats_set_aside") == reason


async def test_a_row_set_aside_twice_is_kept_once(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    bad = a_row(term, term=99)

    await store.ingest([bad])
    await store.ingest([bad])

    assert await one(connection, "SELECT count(*) FROM api_heartbeats_set_aside") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "wonderful"},
        {"response_server": "\x00"},
        {"executed_at": "yesterday-ish"},
        {"attempts": 1_000_000},
    ],
)
async def test_a_row_that_is_no_heartbeat_is_refused_as_data(
    conninfo: str, store: HeartbeatStore, fields: dict[str, Any]
) -> None:
    term = await a_term(conninfo)

    with pytest.raises(RejectedError):
        await store.ingest([a_row(term, **fields)])


async def test_a_refused_row_can_be_kept_with_its_reason(
    store: HeartbeatStore, connection: Connection
) -> None:
    await store.set_aside('{"any": "\\u0000"}', "no such thing")

    cursor = await connection.execute("SELECT reason, payload FROM api_heartbeats_set_aside")
    assert await cursor.fetchall() == [("no such thing", '{"any": "\\u0000"}')]


async def test_the_days_from_yesterday_to_a_week_ahead_have_partitions(
    migrated: str, connection: Connection
) -> None:
    today = datetime.now(UTC).date()

    cursor = await connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'heartbeats'::regclass ORDER BY 1"
    )

    expected = [today + timedelta(days=n) for n in range(-1, 8)]
    assert [name for (name,) in await cursor.fetchall()] == [
        f"heartbeats_{day:%Y%m%d}" for day in expected
    ]


async def test_partitions_are_made_once_whatever_the_time_zone_of_the_session(
    migrated: str, connection: Connection
) -> None:
    await connection.execute("SET TimeZone = 'Pacific/Auckland'")

    made = await connection.execute("SELECT partitions_ensure('heartbeats')")

    assert await made.fetchall() == []


async def test_rows_are_not_set_aside_because_their_traits_find_no_number(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    await connection.execute("SELECT setval('heartbeat_traits_id_seq', 2147483647)")

    with pytest.raises(TransientError, match="reached maximum value of sequence"):
        await store.ingest([a_row(term)])
