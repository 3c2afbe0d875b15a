"""What is kept beside a heartbeat, on a real PostgreSQL: once, and never at its expense."""

from typing import Any

import pytest
from psycopg.rows import dict_row

from tests.storage.test_ingest import a_row, a_term, slot
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, Pool, one
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.storage.partitions import ensure

EVIDENCE = {
    "reason": "failure",
    "addresses": ["192.0.2.1:443", "[2001:db8::1]:443"],
    "request_headers": {"A": "b"},
    "response_headers": {"C": "d"},
    "response_body": {"why": ["x", None]},
    "certificate": {"subject": "CN=shop.example"},
}


@pytest.fixture
def store(pool: Pool) -> HeartbeatStore:
    return HeartbeatStore(pool, DatacenterId(1))


async def rows(connection: Connection) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute("SELECT * FROM heartbeat_evidence ORDER BY monitor_id")
    return await cursor.fetchall()


async def test_evidence_is_stored_under_the_key_of_its_heartbeat(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)

    done = await store.ingest([a_row(term, evidence=EVIDENCE), a_row(term, monitor_id=8)])

    (row,) = await rows(connection)
    assert done.inserted == 2
    assert {key: row[key] for key in EVIDENCE} == EVIDENCE
    assert (row["monitor_id"], row["datacenter_id"], row["scheduled_at"]) == (7, 1, term["now"])


async def test_evidence_of_a_heartbeat_that_is_not_stored_is_not_stored_either(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    await store.ingest([a_row(term)])
    fenced = a_row(term, monitor_id=8, term=99, evidence=EVIDENCE)
    again = a_row(term, evidence=EVIDENCE)

    done = await store.ingest([fenced, again])

    assert (done.inserted, done.duplicate, done.set_aside) == (0, 1, {0: "unknown term"})
    assert await rows(connection) == []


async def test_a_batch_that_is_sent_again_adds_no_evidence(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    batch = [a_row(term, evidence=EVIDENCE)]

    for _ in range(2):
        await store.ingest(batch)

    assert len(await rows(connection)) == 1


async def test_a_heartbeat_is_stored_also_where_its_evidence_has_no_partition(
    conninfo: str, store: HeartbeatStore, connection: Connection
) -> None:
    term = await a_term(conninfo)
    day = f"{term['now']:%Y%m%d}"
    await connection.execute(f"DROP TABLE heartbeat_evidence_{day}".encode())

    done = await store.ingest(
        [a_row(term, evidence=EVIDENCE), a_row(term, monitor_id=8, scheduled_at=slot(term, -1))]
    )

    assert (done.inserted, done.set_aside) == (2, {})
    assert await one(connection, "SELECT count(*) FROM api_heartbeats") == 2
    assert await rows(connection) == []


@pytest.mark.parametrize(
    "evidence", [None, "text", [1], {}, {"reason": "x" * 99}, {"addresses": 7}, 7]
)
async def test_evidence_of_any_form_leaves_its_heartbeat_alone(
    conninfo: str, store: HeartbeatStore, evidence: Any
) -> None:
    term = await a_term(conninfo)

    done = await store.ingest([a_row(term, evidence=evidence)])

    assert (done.inserted, done.set_aside) == (1, {})


async def test_both_tables_have_their_days_and_evidence_is_kept_for_a_week(
    conninfo: str, connection: Connection
) -> None:
    plan = await one(
        connection,
        "SELECT (days, days_ahead, keep_days)::text FROM partition_plans"
        " WHERE parent = 'heartbeat_evidence'",
    )

    assert plan == "(1,7,7)"
    assert await ensure(connection, "heartbeat_evidence") == []
    for parent in ("heartbeats", "heartbeat_evidence"):
        days = await one(
            connection,
            "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass",
            (parent,),
        )
        assert days == 9
