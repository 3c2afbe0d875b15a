"""What the roles may not do: each of these statements is refused for want of a right."""

import asyncio
from collections.abc import Iterator, Mapping

import psycopg
import pytest

from tests.support import postgres, roles

FURNISHING = """
INSERT INTO schedules (id, name, interval) VALUES (1, 'minute', 60), (2, 'hour', 3600);
INSERT INTO api_monitors (id, name, url, schedule_id, headers) VALUES
    (1, 'everywhere', 'https://one.test/', 1, '{"Authorization": "one"}'),
    (2, 'va alone', 'https://two.test/', 1, '{"Authorization": "two"}'),
    (3, 'ny alone', 'https://user:pw@three.test/token', 2, '{"Authorization": "three"}');
INSERT INTO datacenter_monitors VALUES (1, 2), (2, 3);
INSERT INTO secrets (name, datacenter_id, key_id, nonce, ciphertext) VALUES
    ('all', NULL, 'k', '123456789012', 'a'), ('va', 1, 'k', '123456789012', 'b'),
    ('ny', 2, 'k', '123456789012', 'c');
SELECT peer_key(1), peer_key(2);
SELECT agent_register(2, 'theirs');
SELECT lease_ask(2, gen_random_uuid(), 'theirs', '1 minute', 0, 0, false);
"""
AS_AGENT = [
    # other datacenters
    "SELECT lease_ask(2, gen_random_uuid(), 'me', '5 s', 0, 0, true)",
    "SELECT lease_ask(NULL, gen_random_uuid(), 'me', '5 s', 0, 0, true)",
    "SELECT lease_release(2, (SELECT gen_random_uuid()), 1)",
    "SELECT heartbeats_ingest(2, '[]')",
    "SELECT heartbeat_set_aside(2, 'reason', 'payload')",
    "SELECT latest_slots(2)",
    "SELECT peer_key(2)",
    "SELECT peer_key(0)",
    "SELECT agent_register(2, 'me')",
    "SELECT agent_report(2, 1, '{}')",
    "SELECT agent_forget(2, 1, 1, 'host')",
    "SELECT agent_peers(2, 0)",
    "SELECT datacenter_monitor_ids(2)",
    "SELECT config_errors_note(2, '{}', '{}')",
    # tables
    "SELECT * FROM peer_keys",
    "SELECT * FROM config_history",
    "SELECT * FROM api_heartbeats",
    "SELECT * FROM heartbeats",
    "SELECT * FROM heartbeat_traits",
    "SELECT * FROM heartbeat_evidence",
    "SELECT * FROM api_heartbeats_set_aside",
    "SELECT * FROM push_signals",
    "SELECT * FROM database_roles",
    "SELECT * FROM agent_leases",
    "SELECT holder FROM agent_leases",
    (
        "INSERT INTO api_heartbeats (executed_at, monitor_id, datacenter_id, status)"
        " VALUES (now(), 1, 1, 'up')"
    ),
    "INSERT INTO database_roles VALUES (session_user, 'agent', 2)",
    "INSERT INTO api_monitors (name, url) VALUES ('mine', 'http://h/')",
    "INSERT INTO secrets (name, key_id, nonce, ciphertext) VALUES ('x', 'k', '123456789012', 'c')",
    "UPDATE api_monitors SET enabled = false",
    "UPDATE database_roles SET datacenter_id = 2",
    "UPDATE agent_leases SET holder = NULL",
    "UPDATE partition_plans SET keep_days = 1",
    "DELETE FROM api_heartbeats",
    "DELETE FROM agent_terms",
    "TRUNCATE heartbeats",
    "TRUNCATE api_monitors",
    "DROP VIEW api_heartbeats",
    "DROP TABLE heartbeats",
    "DROP FUNCTION peer_key",
    "ALTER TABLE api_monitors DISABLE ROW LEVEL SECURITY",
    "DROP POLICY own_datacenter ON secrets",
    "BEGIN; LOCK TABLE api_monitors IN ACCESS EXCLUSIVE MODE",
    "COPY heartbeats TO STDOUT",
    "COPY api_monitors FROM STDIN",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/uptimeo-forbidden'",
    # functions that are not an agent's
    "SELECT rollup(5, 1, now())",
    "SELECT rollup_mark('-infinity', 'infinity', NULL)",
    "SELECT partition_for('heartbeats', now() + interval '5 years')",
    "SELECT monitor_history(3)",
    "SELECT push_receive('token', 'start', NULL, NULL, NULL)",
    "SELECT partition_drop_expired('heartbeats', now() + interval '100 days')",
    "SELECT partition_drop_expired('heartbeats', NULL)",
    "SELECT partitions_ensure('heartbeats', now() - interval '10 years')",
    "SELECT history_expire(now() + interval '10 years')",
    "SELECT retention_confirm(now()::date)",
    "SELECT retention_believe(now() + interval '10 years')",
    "UPDATE retention_clock SET believed_at = now() + interval '10 years'",
    # the server
    "SET ROLE uptimeo",
    "SET SESSION AUTHORIZATION uptimeo",
    "CREATE TABLE mine (a int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE EXTENSION dblink",
    "ALTER ROLE uptimeo PASSWORD NULL",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000",
    "ALTER FUNCTION peer_key(int) SECURITY INVOKER",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'uptimeo'"
        " AND pid <> pg_backend_pid()"
    ),
    "SET session_replication_role = replica",
    "SET row_security = off; SELECT * FROM secrets",
    # a trigger's function on a table of one's own, where it would run with the owner's rights
    (
        "CREATE TEMP TABLE mine (id int); CREATE TRIGGER t AFTER INSERT ON mine"
        " REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION config_record('id')"
    ),
    # tables of one's own in front of ours
    (
        "CREATE TEMP TABLE database_roles AS SELECT session_user::name AS role_name,"
        " 2 AS datacenter_id; SET search_path = pg_temp, public; SELECT peer_key(2)"
    ),
    (
        "CREATE TEMP TABLE agent_terms (a int); CREATE FUNCTION pg_temp.agent_check(int)"
        " RETURNS void LANGUAGE sql AS ''; SET search_path = pg_temp, public;"
        " SELECT heartbeats_ingest(2, '[]')"
    ),
]
AS_READER = [
    "SELECT * FROM secrets",
    "SELECT ciphertext FROM secrets",
    "SELECT key FROM peer_keys",
    "SELECT headers FROM api_monitors",
    "SELECT body FROM api_monitors",
    "SELECT options FROM api_monitors",
    "SELECT url FROM api_monitors",
    "SELECT m FROM api_monitors m",
    "SELECT old FROM config_history",
    "SELECT new FROM config_history",
    "SELECT payload FROM api_heartbeats_set_aside",
    "SELECT body FROM push_signals",
    "SELECT monitor_history(1)",
    "SELECT config_at(1, now())",
    "SELECT peer_key(1)",
    "SELECT lease_ask(1, gen_random_uuid(), 'me', '5 s', 0, 0, true)",
    "SELECT heartbeats_ingest(1, '[]')",
    "UPDATE schedules SET interval = 1",
    "DELETE FROM api_heartbeats",
]
AS_WRITER = [
    (
        "INSERT INTO api_heartbeats (executed_at, monitor_id, datacenter_id, status)"
        " VALUES (now(), 1, 1, 'up')"
    ),
    "DELETE FROM api_heartbeats",
    "UPDATE heartbeats_1d SET up_ms = 86400000",
    "DELETE FROM config_history",
    "TRUNCATE api_monitors CASCADE",
    "UPDATE partition_plans SET keep_days = 2",
    "SELECT key FROM peer_keys",
    "SELECT lease_ask(1, gen_random_uuid(), 'me', '5 s', 0, 0, true)",
    "INSERT INTO database_roles VALUES (session_user, 'agent', 1)",
    "ALTER TABLE api_monitors DISABLE TRIGGER ALL",
]
AS_RECEIVER = [
    "SELECT * FROM api_monitors",
    "SELECT * FROM push_signals",
    "SELECT push_monitor('token')",
    "DELETE FROM push_signals",
    "SELECT peer_key(1)",
]
AS_NOBODY = [
    "SELECT * FROM api_heartbeats",
    "SELECT uptimes(now() - interval '1 day', now())",
    "SELECT agent_datacenter()",
    "SELECT rollup_bucket(5, now())",
]
FORBIDDEN = [
    *(("va", each) for each in AS_AGENT),
    *(("reader", each) for each in AS_READER),
    *(("writer", each) for each in AS_WRITER),
    *(("postman", each) for each in AS_RECEIVER),
    *(("nobody", each) for each in AS_NOBODY),
]


@pytest.fixture(scope="module")
def logins(maintenance: str, furnished: str) -> Iterator[Mapping[str, str]]:
    """One database for all of them: what is refused changes nothing."""
    with postgres.database(maintenance, furnished) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as owner:
            owner.execute(FURNISHING)
        manager = roles.made(conninfo)
        with asyncio.Runner() as runner:
            yield runner.run(manager.__aenter__())
            runner.run(manager.__aexit__(None, None, None))


@pytest.mark.parametrize(("who", "statement"), FORBIDDEN)
def test_a_forbidden_statement_is_refused(
    logins: Mapping[str, str], who: str, statement: str
) -> None:
    with (
        psycopg.connect(logins[who], autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def found(dsn: str, query: str) -> list[object]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [value for (value,) in connection.execute(query.encode()).fetchall()]


def test_an_agent_sees_the_configuration_of_its_own_datacenter_alone(
    logins: Mapping[str, str],
) -> None:
    seen = {
        who: [
            found(logins[who], "SELECT id FROM api_monitors ORDER BY id"),
            found(logins[who], "SELECT id FROM schedules ORDER BY id"),
            found(logins[who], "SELECT monitor_id FROM datacenter_monitors"),
            found(logins[who], "SELECT name FROM secrets ORDER BY name"),
        ]
        for who in ("va", "ny", "sf")
    }

    assert seen == {
        "va": [[1, 2], [1], [2], ["all", "va"]],
        "ny": [[1, 3], [1, 2], [3], ["all", "ny"]],
        "sf": [[1], [1], [], ["all"]],
    }


def test_a_temporary_table_does_not_stand_in_for_one_of_ours(logins: Mapping[str, str]) -> None:
    with psycopg.connect(logins["va"], autocommit=True) as connection:
        connection.execute(
            "CREATE TEMP TABLE database_roles AS"
            " SELECT session_user::name AS role_name, 2 AS datacenter_id"
        )
        connection.execute("SET search_path = pg_temp, public")
        row = connection.execute("SELECT agent_datacenter()").fetchone()

    assert row == (1,)


def test_a_reader_sees_of_a_url_no_more_than_its_host(logins: Mapping[str, str]) -> None:
    targets = found(logins["reader"], "SELECT monitor_target(id) FROM api_monitors ORDER BY id")
    whole = found(logins["writer"], "SELECT monitor_target(id) FROM api_monitors ORDER BY id")

    assert targets == ["https://one.test", "https://two.test", "https://three.test"]
    assert whole[2] == "https://user:pw@three.test/token"
