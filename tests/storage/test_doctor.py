"""What the doctor finds on a real PostgreSQL: as the owner, an agent, a reader; and if it hangs."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults import pooler
from tests.support.doctor import bad, of, stalling
from tests.support.rollups import HOUR, add_monitor, every, insert, led_since, roll
from tests.support.servers import deaf, mute, serve
from uptimeo.doctor import Setup, examine
from uptimeo.domain.finding import Condition, Finding
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.presence import Presence, SpoolState
from uptimeo.settings import read_settings
from uptimeo.storage.database import Connection, Pool, connect, one
from uptimeo.storage.instances import InstanceStore
from uptimeo.storage.places import register_agent
from uptimeo.storage.questions import UnseenError, ask
from uptimeo.storage.server import RoleFound, clock

OK, WARNING, CRITICAL = Condition.OK, Condition.WARNING, Condition.CRITICAL
UNKNOWN = Condition.UNKNOWN
NOT_FOR_AGENTS = {
    "config-errors", "overlaps", "agents", "peers", "retention", "rollups", "rollups-agree",
    "set-aside", "unusual", "roles",
}  # fmt: skip
# Of this machine, and not of the database.
HOST = {"process", "ready", "ping", "spool", "file-system", "disk", "open-files", "resolver"}


def setup(conninfo: str, directory: Path, **variables: str) -> Setup:
    """That of an agent of datacenter 1."""
    given = {
        "DATACENTER_ID": "1",
        "DB_CONN_STRING": conninfo,
        "UPTIMEO_DATA_DIR": str(directory),
    }
    return Setup(conninfo=conninfo, settings=read_settings(given | variables))


async def examined(conninfo: str) -> list[Finding]:
    """As a person who looks at the installation."""
    return await examine(Setup(conninfo=conninfo))


async def report(
    connection: Connection, pool: Pool, name: str, ago: timedelta, **state: int
) -> None:
    """An agent of datacenter 1 that has run so long."""
    agent = await register_agent(connection, name, DatacenterId(1))
    board = InstanceStore(pool, DatacenterId(1), agent, datetime.now(UTC) - ago)
    here = Presence(
        term=None,
        spool=SpoolState(rows=0, bytes=0, dropped=state.get("dropped", 0)),
        peer_address="192.0.2.1:4",
        peers_heard=state.get("heard", 0),
    )
    await board.report(here)


async def test_a_sound_installation_has_nothing_to_complain_of(conninfo: str) -> None:
    findings = await examined(conninfo)

    assert bad(findings) == {}
    assert {f.examination for f in findings if f.condition is UNKNOWN} == set()
    assert {f.examination for f in findings} >= NOT_FOR_AGENTS | {
        "clock",
        "vacuum",
        "slots",
        "leader",
    }


async def test_an_agents_role_is_enough_and_is_told_what_it_may_not_see(
    logins: Mapping[str, str], connection: Connection, tmp_path: Path
) -> None:
    await add_monitor(connection)
    await led_since(connection, HOUR)
    await connection.execute("UPDATE agent_leases SET holder_name = 'a'")
    await connection.execute(
        "INSERT INTO agent_leases (datacenter_id, holder_name, expires_at)"
        " VALUES (0, 'a', 'infinity')"
    )
    findings = await examine(setup(logins["va"], tmp_path))

    assert bad(findings).keys() - HOST == set()
    assert {f.examination for f in findings if f.condition is UNKNOWN} - HOST == {
        *NOT_FOR_AGENTS,
        "transactions",
    }
    assert {f.condition for f in of("role", findings) + of("leader", findings)} == {OK}
    assert "may not see it" in of("rollups", findings)[0].value


async def test_an_agents_role_of_another_datacenter_is_critical(
    logins: Mapping[str, str], tmp_path: Path
) -> None:
    (finding,) = of("role", await examine(setup(logins["ny"], tmp_path)))

    assert finding.condition is CRITICAL
    assert "may act for datacenter 2, and DATACENTER_ID is 1" in finding.value


async def test_an_agent_that_logs_in_as_the_owner_is_warned_of(
    conninfo: str, tmp_path: Path
) -> None:
    (finding,) = of("role", await examine(setup(conninfo, tmp_path)))

    assert finding.condition is WARNING
    assert "uptimeo db roles" in finding.advice


async def test_a_reader_sees_the_whole_installation(logins: Mapping[str, str]) -> None:
    findings = await examined(logins["reader"])

    assert bad(findings) == {}
    assert {f.examination for f in findings if f.condition is UNKNOWN} == {"transactions"}


async def test_nobody_without_rights_gets_more_than_unknown(logins: Mapping[str, str]) -> None:
    findings = await examined(logins["nobody"])

    assert of("schema", findings)[0].condition is UNKNOWN
    assert bad(findings) == {}


async def test_a_datacenter_that_is_not_there_is_critical(conninfo: str, tmp_path: Path) -> None:
    findings = await examine(setup(conninfo, tmp_path, DATACENTER_ID="77"))

    assert bad(findings)["datacenter"] is CRITICAL
    assert "1 VA" in of("datacenter", findings)[0].value


async def test_a_database_without_a_schema_is_told_to_be_migrated(empty_database: str) -> None:
    findings = await examined(empty_database)

    assert bad(findings) == {"schema": CRITICAL}
    assert "uptimeo migrate" in of("schema", findings)[0].advice


async def test_functions_of_another_release_are_seen(conninfo: str, connection: Connection) -> None:
    await connection.execute("UPDATE schema_definitions SET digest = 'other'")

    assert bad(await examined(conninfo)) == {"schema": CRITICAL}


async def test_missing_partitions_bad_rows_and_what_was_set_aside_are_named(
    conninfo: str, connection: Connection
) -> None:
    monitor = await add_monitor(connection)
    await connection.execute(
        "INSERT INTO monitor_config_errors VALUES (%s, 'url: odd')", (monitor,)
    )
    await connection.execute("SELECT heartbeat_set_aside(1, 'no such thing', '{}')")
    names = await one(
        connection,
        "SELECT string_agg(inhrelid::regclass::text, ',') FROM (SELECT * FROM pg_inherits"
        " WHERE inhparent = 'heartbeats'::regclass"
        " ORDER BY inhrelid::regclass::text DESC LIMIT 6) x",
    )
    await connection.execute(f"DROP TABLE {names}".encode())
    findings = await examined(conninfo)

    assert bad(findings) == {
        "partitions": CRITICAL, "config-errors": WARNING, "set-aside": WARNING
    }  # fmt: skip
    assert of("config-errors", findings)[0].what == f"monitor {monitor} (m)"


async def test_agents_that_do_not_hear_each_other_or_dropped_something_are_named(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    ago = timedelta(minutes=1)
    await report(connection, pool, "a", ago, heard=1)
    await report(connection, pool, "b", ago, heard=0, dropped=3)
    findings = await examined(conninfo)

    assert bad(findings) == {"peers": WARNING, "agents": WARNING}
    assert [f.what for f in of("peers", findings)] == ["peers of VA b"]


async def test_that_nobody_maintains_is_seen_once_an_agent_could(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await report(connection, pool, "a", timedelta(minutes=1))
    young = bad(await examined(conninfo))
    await report(connection, pool, "a", timedelta(minutes=5))

    assert young == {}
    assert bad(await examined(conninfo)) == {"maintenance": WARNING}


async def test_that_nobody_leads_is_critical_where_an_agent_runs(
    conninfo: str, connection: Connection, pool: Pool
) -> None:
    await led_since(connection, HOUR)
    await report(connection, pool, "a", timedelta(seconds=1))
    await connection.execute("UPDATE agent_leases SET expires_at = now() - interval '1 minute'")
    findings = await examined(conninfo)

    assert bad(findings) == {"leader": CRITICAL}
    assert [f.what for f in of("leader", findings)] == ["leader of VA"]


async def test_rollups_that_are_late_or_wrong_are_seen(
    conninfo: str, connection: Connection
) -> None:
    watched = await add_monitor(connection)
    await led_since(connection, HOUR)
    await insert(connection, watched, every(60, 90))
    await connection.execute("SELECT rollup_step(5, 1)")
    late = bad(await examined(conninfo))
    await roll(connection)
    good = bad(await examined(conninfo))
    await connection.execute("UPDATE heartbeats_5m SET checks = checks + 1")
    wrong = await examined(conninfo)

    assert late["rollups"] is WARNING
    assert not good.keys() & {"rollups", "rollups-agree"}
    assert bad(wrong)["rollups-agree"] is CRITICAL
    assert "checks of monitor" in of("rollups-agree", wrong)[0].value


async def test_nobody_who_takes_signals_is_critical_where_jobs_are_awaited(
    conninfo: str, connection: Connection
) -> None:
    monitor = await add_monitor(connection)
    await connection.execute("UPDATE api_monitors SET type = 'PUSH' WHERE id = %s", (monitor,))

    assert bad(await examined(conninfo))["receivers"] is CRITICAL


async def test_a_reference_that_this_host_cannot_resolve_is_named_and_no_value_shown(
    conninfo: str, connection: Connection, tmp_path: Path
) -> None:
    monitor = await add_monitor(connection)
    await connection.execute(
        "UPDATE api_monitors SET headers ="
        """ '{"A": "{{env:UPTIMEO_SECRET_HERE}}", "B": "{{env:UPTIMEO_SECRET_AWAY}}"}'"""
    )
    findings = await examine(setup(conninfo, tmp_path, UPTIMEO_SECRET_HERE="geheim"))
    (finding,) = of("rows", findings)
    whole = await examine(
        setup(conninfo, tmp_path, UPTIMEO_SECRET_HERE="geheim", UPTIMEO_SECRET_AWAY="geheim")
    )

    assert finding.what == f"monitor {monitor} (m)"
    assert "UPTIMEO_SECRET_AWAY" in finding.value
    assert "geheim" not in str(findings)
    assert of("rows", whole)[0].condition is OK


async def test_what_holds_vacuum_back_is_seen(conninfo: str, connection: Connection) -> None:
    partition = await one(
        connection,
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'heartbeats'::regclass LIMIT 1",
    )
    await connection.execute(f"ALTER TABLE {partition} SET (autovacuum_enabled = false)".encode())
    findings = await examined(conninfo)

    assert bad(findings) == {"vacuum": WARNING}
    assert partition in of("vacuum", findings)[0].value


async def test_a_question_changes_nothing_and_ends_in_time(connection: Connection) -> None:
    began = time.monotonic()
    with pytest.raises(UnseenError, match="too slow"):
        await ask(connection, "SELECT pg_sleep(30)", RoleFound, within_ms=100)
    took = time.monotonic() - began
    with pytest.raises(UnseenError, match="read-only"):
        await ask(connection, "SELECT agent_register(1, 'a')", RoleFound)

    assert took < 3
    assert await one(connection, "SELECT count(*) FROM agents") == 0
    assert await one(connection, "SHOW statement_timeout") == "0"


@pytest.mark.parametrize(
    ("conninfo", "words"),
    [
        ("postgresql://u:geheim@nothing.invalid/x", "cannot be resolved"),
        ("postgresql://u:geheim@127.0.0.1:1/x", "Connection refused"),
        ("postgresql:///x?host=/nowhere&user=u&password=geheim", "No such file"),
    ],
)
async def test_a_database_that_is_not_there_is_critical_with_advice(
    conninfo: str, words: str
) -> None:
    findings = await examined(conninfo)

    assert bad(findings) == {"database": CRITICAL}
    assert words in of("database", findings)[0].value
    assert of("database", findings)[0].advice
    assert "geheim" not in str(findings)


async def test_a_user_or_database_that_is_not_there_is_told_apart(conninfo: str) -> None:
    for wrong in ({"dbname": "none_such"}, {"user": "none_such"}):
        (finding,) = of("database", await examined(make_conninfo(conninfo, **wrong)))
        assert finding.condition is CRITICAL
        assert "none_such" in finding.value
        assert "password" in finding.advice


async def test_a_server_that_never_answers_is_given_up() -> None:
    with deaf() as (address, _):
        async with serve(mute) as silent, asyncio.timeout(10):
            at_login, at_once = await asyncio.gather(
                examined(f"postgresql://u@127.0.0.1:{silent.port}/x?connect_timeout=60"),
                examined(f"postgresql://u@127.0.0.1:{address.port}/x"),
            )

    assert bad(at_login) == bad(at_once) == {"database": CRITICAL}
    assert "hangs" in of("database", at_login)[0].advice


async def test_a_database_that_hangs_in_between_leaves_the_rest_unknown(conninfo: str) -> None:
    given = conninfo_to_dict(conninfo)
    socket = f"{given['host']}/.s.PGSQL.{given.get('port') or 5432}"
    began = time.monotonic()
    async with stalling(socket, 6000) as relay:
        through = make_conninfo(conninfo, host="127.0.0.1", port=relay.port)
        findings = await examined(through)

    assert time.monotonic() - began < 15
    assert UNKNOWN in {f.condition for f in findings}
    (silent,) = of("database", findings)
    assert silent.condition is CRITICAL
    assert "stopped answering" in silent.value


@pytest.mark.skipif(pooler.missing() is not None, reason=str(pooler.missing()))
async def test_notices_that_a_pooler_swallows_are_missed(
    conninfo: str, connection: Connection
) -> None:
    given = conninfo_to_dict(conninfo)
    role = f"t{given['dbname']}"
    await connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'p'".encode())
    try:
        async with pooler.pooler(str(given["host"]), role, "p") as through:
            findings = await examined(make_conninfo(through, dbname=given["dbname"]))
    finally:
        await connection.execute(f"DROP ROLE {role}".encode())

    assert of("notifications", findings)[0].condition is WARNING


async def test_the_offset_of_the_clock_is_within_its_own_uncertainty(conninfo: str) -> None:
    async with await connect(conninfo) as connection:
        found = await clock(connection)

    assert abs(found.offset_s) <= found.uncertain_s + 0.001
