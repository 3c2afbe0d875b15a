"""The installed agent maintains the installation, and an operator says how long what is kept."""

import signal
from datetime import UTC, datetime

from tests.support.agents import output, running
from uptimeo.storage.database import Connection, one

_OLD = "SELECT partitions_ensure('heartbeats', now() - interval '40 days')"
_KEPT = "SELECT keep_days FROM partition_plans WHERE parent = 'heartbeats'"
_EXPIRED = """
SELECT count(*) FROM partition_bounds('heartbeats') WHERE hi <= now() - interval '30 days'
"""
_LONG_AGO = "UPDATE retention_clock SET believed_at = now() - interval '1 year'"
_LAST_DAY = """
DO $$ BEGIN EXECUTE format('DROP TABLE heartbeats_%s',
    to_char((now() AT TIME ZONE 'UTC')::date + 7, 'YYYYMMDD')); END $$
"""


async def test_an_agent_makes_days_and_drops_days_and_says_so(
    environment: dict[str, str], connection: Connection
) -> None:
    await connection.execute(_OLD)
    await connection.execute(_LAST_DAY.encode())

    async with running("agent", **environment) as agent:
        await agent.event("maintenance_taken", term=1)
        made = await agent.event("partitions_made")
        await agent.until(
            lambda: (
                {} if sum(x["event"] == "partition_dropped" for x in agent.lines) == 9 else None
            ),
            "nine dropped days",
        )
        agent.signal(signal.SIGTERM)
        assert await agent.ended() == 0

    assert len(made["partitions"]) == 1
    assert await one(connection, _EXPIRED) == 0
    assert await one(connection, "SELECT partition_days_ahead('heartbeats')") == 7
    assert [x["event"] for x in agent.lines if x["level"] == "error"] == []
    free = "SELECT holder IS NULL FROM agent_leases WHERE datacenter_id = 0"
    assert await one(connection, free) is True


async def test_an_operator_sees_and_changes_how_long_heartbeats_are_kept(
    as_owner: dict[str, str], connection: Connection
) -> None:
    before = await output("retention", **as_owner)
    done = await output("retention", "set", "heartbeats", "90", **as_owner)
    refused = await output("retention", "set", "heartbeats", "1.5", **as_owner)

    assert "for 30 days" in before[1]
    assert done == (0, "heartbeats is kept for 90 days\n", "")
    assert (refused[0], "'1.5' is not a number of days" in refused[2]) == (2, True)
    assert await one(connection, _KEPT) == 90


async def test_an_operator_is_told_of_a_clock_that_is_not_believed_and_confirms_it(
    as_owner: dict[str, str], connection: Connection
) -> None:
    await connection.execute(_LONG_AGO)
    await connection.execute("SELECT history_expire()")
    told = await output("retention", **as_owner)
    refused = await output("retention", "confirm", "2020-01-01", **as_owner)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    done = await output("retention", "confirm", today, **as_owner)
    after = await output("retention", **as_owner)

    assert "Nothing is dropped: the database's clock said" in told[1]
    assert "Nothing will be until somebody confirms it" in told[1]
    assert (refused[0], "not 2020-01-01: put its clock right first" in refused[2]) == (2, True)
    assert done[:1] == (0,)
    assert "Nothing is dropped" not in after[1]
